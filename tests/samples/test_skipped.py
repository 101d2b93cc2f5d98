"""Not a test: see test_outcomes.py."""

NOT_ON = {"wasm": "the reason of the sample"}


def test_elsewhere():
    pass
