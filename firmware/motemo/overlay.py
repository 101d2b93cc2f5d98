"""Code that is seldom needed leaves the heap again: it is loaded for one call.

A small chip holds the way of a reading all the time; provisioning, key exchanges and commands come and go.
"""

import gc
import sys

_UNLOADS = sys.implementation.name == "micropython"


def call(module, function, *arguments):
    """Calls `function` of `module`, then forgets all modules that this brought in (on MicroPython)."""
    before = set(sys.modules)
    if _UNLOADS:
        gc.collect()  # so that what is loaded does not lie between garbage
    try:
        return getattr(__import__(module, None, None, (function,)), function)(*arguments)
    finally:
        if _UNLOADS:
            for name in list(sys.modules):
                if name not in before:
                    _forget(name)
            gc.collect()


def _forget(name):
    del sys.modules[name]
    package, _, leaf = name.rpartition(".")
    if package in sys.modules and hasattr(sys.modules[package], leaf):
        delattr(sys.modules[package], leaf)
