"""Measures one thing and prints a table, or with --json one object with dotted keys.

A bench is `tools/bench_scripts/NAME.py` with a function `figures()` that returns a dict of keys and numbers. Those of
`ON_MICROPYTHON` run on the unix port, with the agent compiled as a board gets it; the others on CPython.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "tools" / "bench_scripts"
ON_MICROPYTHON = ("crypto", "flash")
HEAP = "2M"


def figures(name: str) -> dict[str, float]:
    """Run the bench `name`. RuntimeError, with its traceback, when it fails on MicroPython."""
    if name not in ON_MICROPYTHON:
        return importlib.import_module(f"tools.bench_scripts.{name}").figures()
    from motemo_host.mpy import compile_module, modules

    micropython = Path(sys.executable).with_name("micropython")
    run = f"import json; from tools.bench_scripts.{name} import figures; print(json.dumps(figures()))"
    with tempfile.TemporaryDirectory(prefix="motemo-bench-") as folder:
        for module in modules(ROOT / "firmware"):
            compile_module(ROOT / "firmware", module, "x64", Path(folder, module).with_suffix(".mpy"))
        result = subprocess.run(
            [micropython, "-X", f"heapsize={HEAP}", "-c", run],
            cwd=ROOT,
            env=os.environ | {"MICROPYPATH": f"{folder}::.frozen"},
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
    print(json.dumps(found) if words.json else table(found))
    return 0


def table(found: dict[str, float]) -> str:
    """The figures for people, in the order of their keys."""
    width = max(map(len, found))
    rows = []
    for key, value in sorted(found.items()):
        rows.append(f"{key:{width}} {value:>12,.2f}" if isinstance(value, float) else f"{key:{width}} {value:>9,}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
