"""What the release workflow does with the images of all architectures, but for the registry: into a folder."""

import copy
import io
import json
import os
import pathlib
import subprocess
import tarfile

from image import digest

ARCHITECTURES = ["amd64", "arm64"]


def archive(image, architecture, path):
    """An archive of the same image, for an architecture."""
    config = copy.deepcopy(image.config) | {"architecture": architecture}
    manifest = copy.deepcopy(image.manifest)
    blobs = [image.layer]

    def put(descriptor, content):
        blobs.append(json.dumps(content).encode())
        descriptor |= {"digest": digest(blobs[-1]), "size": len(blobs[-1])}
        return descriptor

    put(manifest["config"], config)
    index = {"schemaVersion": 2, "manifests": [put({"mediaType": manifest["mediaType"]}, manifest)]}
    files = {"blobs/" + digest(blob).replace(":", "/"): blob for blob in blobs}
    files |= {"index.json": json.dumps(index).encode(), "oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return index["manifests"][0]["digest"]


def publish(image, folder, architectures):
    """What the script said, and the digest of the image for each architecture; `architectures` by folder."""
    digests = {}
    for name, architecture in architectures.items():
        (folder / name).mkdir()
        digests[name] = archive(image, architecture, folder / name / "plimsoll-image.tar")
        (folder / name / "plimsoll.cdx.json").write_text("{}")
    done = subprocess.run(["image/publish.sh"], capture_output=True, text=True,
                          env=os.environ | {"REGISTRY": "registry.example.com/Team", "TO": f"oci:{folder}-to:image",
                                            "OUT": str(folder), "GITHUB_OUTPUT": str(folder / "outputs")})
    return done, digests


def test_one_image_for_all_architectures_and_a_chart_that_names_it(image):
    folder = image.folder("publish")
    done, digests = publish(image, folder, {name: name for name in ARCHITECTURES})
    assert done.returncode == 0, done.stderr
    to = folder.with_name("publish-to")
    (entry,) = json.loads((to / "index.json").read_text())["manifests"]
    index = json.loads((to / "blobs" / pathlib.Path(*entry["digest"].split(":"))).read_text())
    found = {part["platform"]["architecture"]: part["digest"] for part in index["manifests"]}
    assert found == digests, "what is published is what was built"

    with tarfile.open(folder / f"plimsoll-{image.version}.tgz") as chart:
        values = chart.extractfile("plimsoll/values.yaml").read().decode()
    assert '  repository: "registry.example.com/team/plimsoll"\n' in values and f'  digest: "{entry["digest"]}"\n' in values
    outputs = dict(line.split("=", 1) for line in (folder / "outputs").read_text().splitlines())
    assert all(outputs[f"digest-{name}"] == digests[name] for name in ARCHITECTURES), outputs
    handed_out = {line.split()[1] for line in (folder / "checksums.txt").read_text().splitlines()}
    wanted = {f"plimsoll-{image.version}-linux-{name}.{kind}" for name in ARCHITECTURES for kind in ["oci.tar", "cdx.json"]}
    assert handed_out >= wanted | {f"plimsoll-{image.version}.tgz"}, handed_out


def test_an_image_of_another_architecture_is_refused(image):
    folder = image.folder("mixed")
    done, _ = publish(image, folder, {"amd64": "amd64", "arm64": "amd64"})
    assert done.returncode == 1 and "arm64/plimsoll-image.tar is not for arm64" in done.stderr, done
    assert not folder.with_name("mixed-to").exists()
