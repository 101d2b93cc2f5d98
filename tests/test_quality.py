"""The source itself: style, types, the direction of the imports, the tags of the rules; the firmware compiles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from motemo_host.mpy import ARCHITECTURES

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT.parent / "shared" / "spec" / "requirements.md"
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


@pytest.mark.skipif(not SPEC.exists(), reason="the requirement list is not beside this checkout")
def test_tags_name_rules():
    run(sys.executable, "tools/requirements", "--check")


def test_a_tag_without_a_rule_is_found(tmp_path):
    (tmp_path / "spec.md").write_text("| id | level | requirement |\n| O-001 | M | be good |\n")
    (tmp_path / "test_sample.py").write_text('@covers("O-001", "O-002")\ndef test_it(): pass\n')
    command = [sys.executable, "tools/requirements", "--spec", tmp_path / "spec.md", "--tests", tmp_path]
    checked = subprocess.run([*command, "--check"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 1
    assert "no rule O-002: test_sample.py::test_it" in checked.stderr
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    assert table == "O-001  be good\n       test_sample.py::test_it\n1 of 1 rules have tests\n"
