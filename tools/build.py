"""Compiles every module of the firmware for every architecture and prints the sizes in bytes."""

import argparse
import sys
import tempfile
from pathlib import Path

from motemo_host.mpy import ARCHITECTURES, compile_module, modules

FIRMWARE = Path(__file__).resolve().parent.parent / "firmware"
# The package that a board without its own XMPP connection leaves out, and the one that a board without a link does.
DIRECT_ONLY, LINKED_ONLY = "motemo/xmpp/", "motemo/link/"


def sizes() -> dict[str, dict[str, int]]:
    """Bytes of each compiled module, architecture to module to size. ValueError for one that does not compile."""
    found: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "module.mpy"
        for architecture in ARCHITECTURES:
            found[architecture] = {}
            for name in modules(FIRMWARE):
                compile_module(FIRMWARE, name, architecture, target)
                found[architecture][name] = target.stat().st_size
    return found


def total(of: dict[str, int], without: str) -> int:
    """Bytes of all modules but those whose path starts with `without`."""
    return sum(size for name, size in of.items() if not name.startswith(without))


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    try:
        found = sizes()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    rows = [(name, *(found[architecture][name] for architecture in ARCHITECTURES)) for name in modules(FIRMWARE)]
    rows.append(("linked agent, total", *(total(found[architecture], DIRECT_ONLY) for architecture in ARCHITECTURES)))
    width = max(len(row[0]) for row in rows)
    print(f"{'module':{width}}", *(f"{architecture:>10}" for architecture in ARCHITECTURES))
    for name, *numbers in rows:
        print(f"{name:{width}}", *(f"{number:10}" for number in numbers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
