"""Runs tests one after the other, says which failed and why, and counts them."""

import traceback


def run(tests, wanted, *arguments):
    """Calls those of the (name, function) pairs whose name holds one of the `wanted` parts, if any; gives the exit code."""
    passed = failed = 0
    for name, test in tests:
        if wanted and not any(part in name for part in wanted):
            continue
        try:
            test(*arguments)
            passed += 1
        except Exception:
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)
    if passed + failed == 0:
        print("no test has such a name" if wanted else "no tests were found")
        failed = 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
