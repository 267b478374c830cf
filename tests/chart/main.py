"""Runs every function named test_* of the modules named test_* in this folder, or in $TESTS; arguments choose by a part of the name.

A test that is a generator yields (label, function) pairs, one for each row of its table.
--write-readme brings the table in the chart's README up to date instead, --write-roles the roles for the program's tests.
"""

import functools
import importlib
import inspect
import os
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

import roles_file
import runner
import values_table


FOLDER = pathlib.Path(os.environ.get("TESTS", pathlib.Path(__file__).parent))
sys.path.append(str(FOLDER.resolve()))


def tests():
    for path in sorted(FOLDER.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("test_") or function.__module__ != path.stem:
                continue
            full_name = f"{path.stem.removeprefix('test_')}.{name.removeprefix('test_')}"
            if inspect.isgeneratorfunction(function):
                try:
                    for label, row in function():
                        yield f"{full_name}[{label}]", row
                except Exception as error:
                    yield f"{full_name}[its rows]", functools.partial(fail, error)
            else:
                yield full_name, function


def fail(error):
    raise error


def main():
    wanted = sys.argv[1:]
    for option, file in (("--write-readme", values_table), ("--write-roles", roles_file)):
        if wanted == [option]:
            file.write()
            return 0
    return runner.run(tests(), wanted)


if __name__ == "__main__":
    sys.exit(main())
