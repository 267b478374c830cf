"""Runs every function named test_* of the modules named test_*: SCRATCH VERSION REVISION [PART OF A NAME...].

Each gets the image, unpacked once. run.sh makes the namespaces that this needs.
"""

import importlib
import inspect
import pathlib
import sys
import traceback

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
    passed = failed = 0
    for name, test in tests():
        if wanted and not any(part in name for part in wanted):
            continue
        try:
            test(image)
            passed += 1
        except Exception:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    if passed + failed == 0:
        print("no test has such a name" if wanted else "no tests were found")
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
