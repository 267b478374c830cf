"""The packed chart, as it is handed out: `make package`."""

import hashlib
import os
import pathlib
import subprocess
import tempfile

import yaml

from chart import CHART, ci_values, install, with_image
from helm_engine import Refused

DIGEST = "sha256:" + "0123456789abcdef" * 4


def packed(folder, **environment):
    subprocess.run(["image/package.sh"], check=True, capture_output=True, env=os.environ | environment | {"OUT": folder})
    (archive,) = pathlib.Path(folder).glob("plimsoll-*.tgz")
    return archive


def test_it_is_the_chart():
    with tempfile.TemporaryDirectory() as folder:
        archive = packed(folder)
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        assert archive.name == f"plimsoll-{version}.tgz", archive
        # Presets are files of their own, which a packed chart could lack.
        for values in (with_image(), ci_values("binpack"), ci_values("extras")):
            assert install(values, chart=archive).docs == install(values).docs
        try:
            install({}, chart=archive)
        except Refused as refused:
            assert "image.repository" in str(refused), refused
        else:
            raise AssertionError("a chart without an image was installed")


def test_packed_twice_it_is_the_same_and_the_checksum_is_its():
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        archive = packed(one)
        assert archive.read_bytes() == packed(other).read_bytes()
        line = f"{hashlib.sha256(archive.read_bytes()).hexdigest()}  {archive.name}\n"
        assert (pathlib.Path(one) / "checksums.txt").read_text() == line


def test_of_a_release_it_names_its_image():
    with tempfile.TemporaryDirectory() as folder:
        archive = packed(folder, IMAGE_REPOSITORY="registry.example.com/p", IMAGE_DIGEST=DIGEST)
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        assert install({}, chart=archive).container()["image"] == f"registry.example.com/p:{version}@{DIGEST}"
        mine = {"image": {"repository": "mine.example.com/p", "digest": ""}}
        assert install(mine, chart=archive).container()["image"] == f"mine.example.com/p:{version}"
