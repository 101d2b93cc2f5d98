"""Fingerprints in colours, so that two are compared at a glance (O-146, XEP-0392).

The identifier that is hashed is the text of a group of 8 lower-case digits, as DinoX does it. Saturation 100 and
lightness 50 are those of the XEP's vectors; they give a contrast above 4 on black and on white.
"""

import hashlib
import re
import sys

from hsluv import hsluv_to_rgb

__all__ = ["coloured", "hue", "rgb"]

_SATURATION, _LIGHTNESS = 100, 50
_FINGERPRINT = re.compile(r"\b[0-9a-f]{8}(?: [0-9a-f]{8}){7}\b")


def hue(text: str) -> float:
    """The angle of a text, in degrees (XEP-0392 "Angle generation")."""
    return int.from_bytes(hashlib.sha1(text.encode()).digest()[:2], "little") / 65536 * 360


def rgb(text: str) -> tuple[float, float, float]:
    """Red, green and blue of a text, each from 0 to 1."""
    red, green, blue = hsluv_to_rgb((hue(text), _SATURATION, _LIGHTNESS))
    return red, green, blue


def coloured(text: str) -> str:
    """The text, its fingerprints (as `fingerprint.grouped` has them) in colours if stdout is a terminal with colours.

    NO_COLOR, TERM=dumb and a pipe keep it plain; where there are few colours, the nearest are taken.
    """
    if not sys.stdout.isatty() or not _FINGERPRINT.search(text):
        return text
    from rich.color import Color  # not loaded where nothing is coloured
    from rich.console import COLOR_SYSTEMS, Console
    from rich.style import Style

    console = Console()
    if console.color_system is None or console.no_color:
        return text
    system = COLOR_SYSTEMS[console.color_system]

    def paint(group: str) -> str:
        return Style(color=Color.from_rgb(*(255 * part for part in rgb(group)))).render(group, color_system=system)

    return _FINGERPRINT.sub(lambda found: " ".join(map(paint, found[0].split())), text)
