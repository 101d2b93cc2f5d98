"""Colours of fingerprints: the vectors of XEP-0392, and terminals that show colours or do not."""

import os
import pty
import subprocess
import sys

import pytest

from motemo_host import colours
from motemo_host.fingerprint import grouped
from tests.covers import covers

# XEP-0392 1.0, "Test Vectors": text, angle, red, green, blue at saturation 100 and lightness 50.
VECTORS = [
    ("Romeo", 327.255249, 0.865, 0.000, 0.686),
    ("juliet@capulet.lit", 209.410400, 0.000, 0.515, 0.573),
    ("😺", 331.199341, 0.872, 0.000, 0.659),
    ("council", 359.994507, 0.918, 0.000, 0.394),
    ("Board", 171.430664, 0.000, 0.527, 0.457),
]
FINGERPRINT = grouped(bytes(range(32)))


@covers("O-146")
@pytest.mark.parametrize(("text", "angle", "red", "green", "blue"), VECTORS)
def test_vectors_of_the_xep(text, angle, red, green, blue):
    assert colours.hue(text) == pytest.approx(angle, abs=1e-6)
    assert colours.rgb(text) == pytest.approx((red, green, blue), abs=6e-4)


def on_a_terminal(text: str, **changes: str) -> str:
    """What `coloured` makes of the text in a process whose stdout is a terminal."""
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM", "TERM")}
    master, slave = pty.openpty()
    program = f"from motemo_host.colours import coloured; print(ascii(coloured({text!r})))"
    try:
        subprocess.run([sys.executable, "-c", program], stdout=slave, env={**environment, **changes}, check=True)
        return os.read(master, 65536).decode().strip()
    finally:
        os.close(master)
        os.close(slave)


@covers("O-146")
def test_each_group_has_its_colour():
    shown = on_a_terminal(f"x {FINGERPRINT} y", TERM="xterm", COLORTERM="truecolor")
    groups = []
    for group in FINGERPRINT.split():
        red, green, blue = (int(255 * part) for part in colours.rgb(group))
        groups.append(rf"\x1b[38;2;{red};{green};{blue}m{group}\x1b[0m")
    assert shown == f"'x {' '.join(groups)} y'"
    assert r"\x1b[38;5;" in on_a_terminal(FINGERPRINT, TERM="xterm-256color")


@covers("O-146")
def test_plain_where_no_colour_is_wanted(capsys):
    assert colours.coloured(FINGERPRINT) == FINGERPRINT  # no terminal
    for changes in ({"TERM": "xterm", "COLORTERM": "truecolor", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert on_a_terminal(FINGERPRINT, **changes) == repr(FINGERPRINT)
    for text in (FINGERPRINT[:-1], FINGERPRINT.upper(), "no fingerprint"):
        assert on_a_terminal(text, TERM="xterm", COLORTERM="truecolor") == repr(text)
