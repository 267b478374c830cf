"""What is in the image, and what is said of it."""

import os
import platform
import struct

MOST = 20 * 1024 * 1024
PT_DYNAMIC, PT_INTERP, DT_NEEDED = 2, 3, 1


def test_one_file_and_nothing_else(image):
    files = [(member.name, oct(member.mode & 0o7777), member.uid, member.gid, member.isfile()) for member in image.members]
    assert files == [("plimsoll", "0o555", 0, 0, True)], files


def test_small(image):
    assert image.compressed < MOST, image.compressed


def test_who_runs_it_and_how(image):
    config = image.config["config"]
    assert config["User"] == "65532:65532" and config["Entrypoint"] == ["/plimsoll"], config
    assert not config.get("Cmd") and not config.get("ExposedPorts") and not config.get("Volumes"), config
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    assert (image.config["os"], image.config["architecture"]) == ("linux", architecture)


def test_labels(image):
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in image.config["config"]["Labels"].items()}
    assert labels["version"] == image.version and image.name == f"localhost/plimsoll:{image.version}", labels
    assert labels["revision"] == image.revision and labels["licenses"] == "Apache-2.0", labels
    assert labels["source"].startswith("https://") and labels["title"] == "plimsoll", labels
    # Nothing of the tool that made it: the image is a function of the source.
    assert all(key.startswith("org.opencontainers.image.") for key in image.config["config"]["Labels"])


def test_needs_no_library(image):
    binary = image.binary()
    assert binary[:5] == b"\x7fELF\x02"
    (start,) = struct.unpack_from("<Q", binary, 0x20)
    size, count = struct.unpack_from("<HH", binary, 0x36)
    segments = [struct.unpack_from("<IIQQQQ", binary, start + size * number) for number in range(count)]
    assert PT_INTERP not in [segment[0] for segment in segments], "it asks for a dynamic linker"
    for kind, _, offset, _, _, length in segments:
        if kind == PT_DYNAMIC:
            tags = [struct.unpack_from("<Q", binary, place)[0] for place in range(offset, offset + length, 16)]
            assert DT_NEEDED not in tags, "it needs a shared library"


def test_names_no_folder_of_whoever_built_it(image):
    for folder in [os.getcwd(), os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))]:
        assert folder.encode() not in image.binary(), folder
