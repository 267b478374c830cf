"""Runs every function named test_* of the modules named test_*: SCRATCH VERSION REVISION [PART OF A NAME...].

Each gets the image, unpacked once. run.sh makes the namespaces that this needs.
"""

import importlib
import inspect
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import runner
from image import Image


def tests():
    for path in sorted(pathlib.Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and function.__module__ == path.stem:
                yield f"{path.stem.removeprefix('test_')}.{name.removeprefix('test_')}", function


def main():
    scratch, version, revision, *wanted = sys.argv[1:]
    image = Image(pathlib.Path("dist/plimsoll-image.tar"), pathlib.Path(scratch), version, revision)
    return runner.run(tests(), wanted, image)


if __name__ == "__main__":
    sys.exit(main())
