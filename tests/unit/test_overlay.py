"""Overlays: code that is loaded for one call and leaves again, without taking along what others hold."""

import sys

from motemo import overlay

SAMPLE = "tests.unit.overlay_sample"
PART = "tests.unit.overlay_sample_part"


def loaded(name):
    package, _, leaf = name.rpartition(".")
    assert (name in sys.modules) == hasattr(sys.modules[package], leaf), "the package knows its modules"
    return name in sys.modules


def call(unloads, function, *args):
    """The result of the sample's function while overlays are unloaded, or not."""
    kept, overlay._UNLOADS = overlay._UNLOADS, unloads
    try:
        return overlay.call(SAMPLE, function, *args)
    finally:
        overlay._UNLOADS = kept


def test_a_module_and_what_it_brought_in_leave():
    for a in (1, 2):
        assert call(True, "add", a, 3) == a + 3
        assert call(True, "add", a) == a
        assert not loaded(SAMPLE) and not loaded(PART)
    assert loaded("motemo.overlay") and loaded("tests.unit.test_overlay")


def test_they_leave_after_an_error_too():
    try:
        call(True, "fail", "on purpose")
    except ValueError as error:
        assert error.args == ("on purpose",)
    else:
        raise AssertionError("the error was swallowed")
    assert not loaded(SAMPLE) and not loaded(PART)


def test_what_was_there_before_stays():
    part = __import__(PART, None, None, ("STEP",))
    assert call(True, "add", 1, 2) == 3
    assert not loaded(SAMPLE) and loaded(PART)
    assert sys.modules[PART] is part
    overlay._forget(PART)
    assert not loaded(PART)


def test_a_result_outlives_its_module():
    counter = call(True, "Counter", 5)
    assert not loaded(SAMPLE) and not loaded(PART)
    assert counter.up() == 6 and counter.up() == 7


def test_they_stay_where_nothing_is_unloaded():
    assert call(False, "add", 1, 2) == 3
    assert loaded(SAMPLE) and loaded(PART)
    overlay._forget(SAMPLE)
    overlay._forget(PART)


def test_a_module_that_is_missing_is_told():
    try:
        overlay.call("tests.unit.overlay_missing", "add", 1)
    except ImportError:
        return
    raise AssertionError("it was found")
