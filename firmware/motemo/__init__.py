"""Motemo: end-to-end encryption for sensor boards (OMEMO, XEP-0384), on MicroPython and CPython."""

import gc

__version__ = "0.1.0"

# MicroPython: collect often, so that what stays lies close together and the rest of the heap is in one piece.
if hasattr(gc, "threshold"):
    gc.threshold(4096)
