"""An OCI archive, taken apart: every blob is compared with its digest."""

import gzip
import hashlib
import io
import json
import pathlib
import tarfile


class Image:
    """One image for one platform, its layers unpacked into `root`."""

    def __init__(self, archive, scratch, version, revision):
        self.scratch, self.version, self.revision = scratch, version, revision
        with tarfile.open(archive) as tar:
            self._files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
        (entry,) = json.loads(self._files["index.json"])["manifests"]
        self.name = entry["annotations"]["org.opencontainers.image.ref.name"]
        self.manifest = json.loads(self._blob(entry))
        self.config = json.loads(self._blob(self.manifest["config"]))
        self.compressed = sum(part["size"] for part in [self.manifest["config"], *self.manifest["layers"]])
        self.root = scratch / "root"
        self.root.mkdir()
        assert len(self.manifest["layers"]) == 1
        self.members = []
        for layer, diff_id in zip(self.manifest["layers"], self.config["rootfs"]["diff_ids"], strict=True):
            self.layer = self._blob(layer)
            content = gzip.decompress(self.layer)
            assert digest(content) == diff_id
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                self.members += tar.getmembers()
                tar.extractall(self.root, filter="tar") if hasattr(tarfile, "tar_filter") else tar.extractall(self.root)

    def _blob(self, descriptor):
        content = self._files["blobs/" + descriptor["digest"].replace(":", "/")]
        assert (len(content), digest(content)) == (descriptor["size"], descriptor["digest"])
        return content

    def binary(self):
        return (self.root / "plimsoll").read_bytes()

    def folder(self, name):
        folder = pathlib.Path(self.scratch / name)
        folder.mkdir()
        return folder


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()
