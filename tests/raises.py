"""Asserts that a call fails as it should, on every interpreter."""


def raises(error_type, reason, fn, *args):
    """Call `fn(*args)`; assert that it raises `error_type` with `.reason == reason`; return the error."""
    try:
        result = fn(*args)
    except error_type as error:
        assert error.reason == reason, f"reason {error.reason!r}, not {reason!r}"
        return error
    raise AssertionError(f"{error_type.__name__} was not raised, the result is {result!r}")
