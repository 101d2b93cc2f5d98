"""Motemo: end-to-end encryption for sensor boards (OMEMO, XEP-0384), on MicroPython and CPython."""

__version__ = "0.1.0"
