"""The `machine` of the virtual board: MicroPython's own, with resets, an id, and pins that remember their state."""

import os

from umachine import *


def reset():
    """Hard reset: the process ends and the supervisor starts the board anew from its flash."""
    os.system("kill -USR1 $PPID")


def soft_reset():
    """Soft reset: the same, with MicroPython's `soft reboot` line."""
    os.system("kill -USR2 $PPID")


def unique_id():
    """Six bytes, the same for the life of the board."""
    return bytes.fromhex(os.getenv("BOARD_ID"))


class Pin:
    """A digital pin. All objects of one number share one state."""

    IN = 0
    OUT = 1
    PULL_UP = 1
    PULL_DOWN = 2

    _levels = {}

    def __init__(self, id, mode=-1, pull=-1, *, value=None):
        self._id = id
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None):
        if value is not None:
            self.value(value)
        elif self._id not in self._levels:
            self._levels[self._id] = int(pull == self.PULL_UP)

    def value(self, level=None):
        if level is None:
            return self._levels[self._id]
        self._levels[self._id] = int(bool(level))

    def __call__(self, level=None):
        return self.value(level)

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def toggle(self):
        self.value(not self.value())
