"""The limits of a board: what must not be is told, and never keeps the board from starting."""

import os

from motemo.limits import LIMITS, read
from motemo.profile import Profile
from tests.covers import covers

NOT_ON = {"wasm": "it has no file system here"}

PATH = "limits-of-a-test.json"


def reading(text):
    """What `read` says of a file with that text."""
    with open(PATH, "w") as file:
        file.write(text)
    try:
        return read(PATH)
    finally:
        os.remove(PATH)


def values(profile):
    return {name: getattr(profile, name) for name in LIMITS}


def test_good_limits_are_taken():
    profile, problems = reading('{"limits": {"sessions": 8, "prekeys": 25}}')
    assert not problems and profile.sessions == 8 and profile.prekeys == 25 and profile.lease == Profile().lease
    assert read("no-such-file.json")[1] == [] and reading("{}")[1] == []


@covers("O-004", "O-005")
def test_a_board_cannot_offer_less_than_25_prekeys():
    for number in (24, 0, -1, 101):
        profile, problems = reading('{"limits": {"prekeys": ' + str(number) + ', "outbox": 9}}')
        assert profile.prekeys == Profile().prekeys >= 25 and profile.outbox == 9
        assert problems == [PATH + ": prekeys must be 25 to 100: 32 is used"]


def test_whatever_the_file_has_there_are_limits():
    for text in ("", "[]", "1", "null", "nonsense", '{"limits": 7}', '{"limits": [1]}', '{"limits": null}'):
        profile, problems = reading(text)
        assert values(profile) == values(Profile()) and len(problems) == 1, text
    for value in ("null", '"32"', "1.5", "true", "[]", "99999999999"):
        profile, problems = reading('{"limits": {"sessions": ' + value + "}}")
        assert profile.sessions == Profile().sessions and "sessions" in problems[0], value
    profile, problems = reading('{"limits": {"colour": 1, "used": 0}}')
    assert problems == [PATH + ": there is no limit colour"] and profile.used == 0


def test_the_table_has_every_limit_and_allows_its_default():
    for name, value in Profile().__dict__.items() if hasattr(Profile(), "__dict__") else values(Profile()).items():
        least, most = LIMITS[name]
        assert least <= value <= most, name
