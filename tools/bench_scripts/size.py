"""Bytes of the compiled agent for the ESP32 (xtensawin)."""

from tools.build import DIRECT_ONLY, LINKED_ONLY, sizes, total


def figures():
    """`size.linked_mpy_bytes`, and `size.direct_mpy_bytes` once there is a client for direct mode."""
    of = sizes()["xtensawin"]
    found = {"size.linked_mpy_bytes": total(of, DIRECT_ONLY)}
    if any(name.startswith(DIRECT_ONLY) for name in of):
        found["size.direct_mpy_bytes"] = total(of, LINKED_ONLY)
    return found
