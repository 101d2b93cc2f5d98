"""The `esp32` of the virtual board: a chip temperature that drifts."""

import os

_quarters = 27 * 4


def mcu_temperature():
    """Temperature of the chip in whole degrees Celsius, from 20 to 45; each call moves it by at most a quarter."""
    global _quarters
    _quarters = min(45 * 4, max(20 * 4, _quarters + os.urandom(1)[0] % 3 - 1))
    return _quarters // 4
