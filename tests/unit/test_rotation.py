"""When the signed prekey is replaced: on a board without a clock, with one, and when the clock is wrong."""

from motemo import overlay, settings
from motemo.errors import StateError
from motemo.omemo.keys import Keys
from motemo.rotation import look
from tests.covers import covers
from tests.raises import raises
from tests.unit.test_engine import BOARD, Device

overlay._UNLOADS = False  # see test_engine

DAY = 86400
NOW = 1767225600


def keys():
    return Device(BOARD).engine.keys


def restarted(own):
    return Keys(own.store.copy())


@covers("O-002")
def test_time_without_a_clock_is_counted_over_restarts():
    own = keys()
    for _ in range(13):
        assert look(own, 7, DAY // 2, 0)
        own = restarted(own)
    assert own.newest_signed_prekey == 1
    assert look(own, 7, DAY // 2, 0) and own.newest_signed_prekey == 2
    assert settings.read(own.store, "signed_prekey") == "0 0", "the count begins anew"
    look(own, 7, 6 * DAY, 0)
    assert own.newest_signed_prekey == 2


def test_flash_is_spared():
    own = keys()
    commits = own.store.commits
    for hour in range(1, 6):
        assert not look(own, 7, hour * 3600, 0)
    assert own.store.commits == commits
    assert look(own, 7, 6 * 3600, 0) and own.store.commits == commits + 1


@covers("O-002")
def test_time_in_which_the_board_is_off_counts_when_a_clock_is_known():
    own = keys()
    assert look(own, 7, 5, NOW), "the first time is stored at once"
    own = restarted(own)
    assert not look(own, 7, 5, NOW + 3600)
    assert look(own, 7, 5, NOW + 7 * DAY - 6) and own.newest_signed_prekey == 1
    assert not look(own, 7, 0, 0), "no clock in this life"
    assert look(own, 7, 5, NOW + 7 * DAY) and own.newest_signed_prekey == 2
    assert settings.read(own.store, "signed_prekey") == "0 " + str(NOW + 7 * DAY)


def test_clock_that_stands_or_goes_back_stops_no_rotation():
    own = keys()
    look(own, 7, 0, NOW)
    for _ in range(13):
        look(own, 7, DAY // 2, NOW - 1000 * DAY)
    assert own.newest_signed_prekey == 1
    look(own, 7, DAY // 2, NOW)
    assert own.newest_signed_prekey == 2


def test_flash_that_is_full_means_later():
    own = keys()
    before = settings.read(own.store, "signed_prekey")
    own.store.fail = StateError("full")
    raises(StateError, "full", look, own, 7, 8 * DAY, 0)
    assert own.newest_signed_prekey == 1 and settings.read(own.store, "signed_prekey") == before
    assert look(own, 7, 8 * DAY, 0) and own.newest_signed_prekey == 2
