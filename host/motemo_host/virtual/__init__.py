"""Virtual boards: MicroPython processes with a bounded heap, a flash file and a pseudo-terminal."""

from motemo_host.virtual.board import VirtualBoard, is_supervised

__all__ = ["VirtualBoard", "is_supervised"]
