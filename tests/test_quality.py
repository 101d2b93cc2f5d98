"""The source itself: style, types, the direction of the imports; the firmware compiles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from motemo_host.mpy import ARCHITECTURES

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def run(*command):
    """What the command prints; its output is the failure when it fails."""
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if result.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{result.stdout}", pytrace=False)
    return result.stdout


def test_ruff():
    run(BIN / "ruff", "check")


def test_format():
    run(BIN / "ruff", "format", "--check")


def test_types():
    run(BIN / "basedpyright", "--pythonpath", sys.executable)


def test_direction_of_imports():
    run(BIN / "lint-imports")


def test_firmware_compiles_for_every_architecture():
    header, *rows = run(sys.executable, "tools/build.py").splitlines()
    assert tuple(header.split()[1:]) == ARCHITECTURES
    *modules, totals = [[int(size) for size in row.split()[-len(ARCHITECTURES) :]] for row in rows]
    assert all(size > 0 for sizes in modules for size in sizes)
    assert totals == [sum(column) for column in zip(*modules, strict=True)]


def test_size_bench():
    figures = json.loads(run(sys.executable, "tools/bench.py", "size", "--json"))
    assert figures["size.linked_mpy_bytes"] > 10_000
