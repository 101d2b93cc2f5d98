"""Not a test: what test_interpreters_host.py runs to see that each outcome is told."""


def test_passes():
    print("said by test_passes")


def test_fails():
    raise ValueError("the failure of test_fails")


def test_asserts():
    assert len("abc") == 4


def test_ends():
    import sys

    if sys.implementation.name == "micropython":
        raise SystemExit(3)


def test_runs_after_all():
    pass
