"""Measures one thing and prints a table, or with --json one object with dotted keys.

A bench is `tools/bench_scripts/NAME.py` with a function `figures()` that returns a dict of keys and numbers. Those of
`ON_MICROPYTHON` run on the unix port, the others on CPython.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "tools" / "bench_scripts"
ON_MICROPYTHON = ("crypto",)
HEAP = "2M"


def figures(name: str) -> dict[str, float]:
    """Run the bench `name`. RuntimeError, with its traceback, when it fails on MicroPython."""
    if name not in ON_MICROPYTHON:
        return importlib.import_module(f"tools.bench_scripts.{name}").figures()
    micropython = Path(sys.executable).with_name("micropython")
    run = f"import json; from tools.bench_scripts.{name} import figures; print(json.dumps(figures()))"
    result = subprocess.run(
        [micropython, "-X", f"heapsize={HEAP}", "-c", run],
        cwd=ROOT,
        env=os.environ | {"MICROPYPATH": "firmware::.frozen"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(f"{name} failed on MicroPython:\n{result.stdout}")
    return json.loads(result.stdout.splitlines()[-1])


def main() -> int:
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=sorted(path.stem for path in SCRIPTS.glob("[a-z]*.py")))
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    words = parser.parse_args()
    try:
        found = figures(words.name)
    except RuntimeError as error:
        print(f"tools/bench: {error}", file=sys.stderr)
        return 1
    if words.json:
        print(json.dumps(found))
        return 0
    width = max(map(len, found))
    for key, value in sorted(found.items()):
        print(f"{key:{width}} {value:>12,.2f}" if isinstance(value, float) else f"{key:{width}} {value:>9,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
