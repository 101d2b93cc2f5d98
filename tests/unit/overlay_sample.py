"""Not a test: what test_overlay.py loads and unloads. It brings in `overlay_sample_part`."""

from tests.unit import overlay_sample_part


class Counter:
    """Outlives its module."""

    def __init__(self, start):
        self.value = start

    def up(self):
        self.value += overlay_sample_part.STEP
        return self.value


def add(a, b=0):
    return a + b


def fail(text):
    raise ValueError(text)
