"""Runs test functions of one module on MicroPython: `mp_run.py MODULE FUNCTION...`.

For each function a line `MARK ok FUNCTION` or `MARK failed FUNCTION`, after what the test printed and its traceback.
A module that cannot be imported fails them all. tests/interpreters.py reads this.
"""

import gc
import sys

MARK = "\x1e"


def run(module, functions):
    """Print the outcome of each of `functions` of the module named `module`."""
    try:
        tests = __import__(module, None, None, ("",))
    except Exception as error:
        tests = None
        broken = error
    for name in functions:
        gc.collect()
        try:
            if tests is None:
                raise broken
            getattr(tests, name)()
            outcome = "ok"
        except Exception as error:
            sys.print_exception(error)
            outcome = "failed"
        print(MARK, outcome, name)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
