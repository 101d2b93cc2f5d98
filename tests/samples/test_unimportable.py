"""Not a test: see test_outcomes.py."""

import sys

if sys.implementation.name == "micropython":
    raise ImportError("the sample cannot be imported")


def test_never_starts():
    pass
