"""The runner for MicroPython tells a failure from a success, in pytest's words."""

import os
import re
import subprocess
import sys

import pytest

from tests.interpreters import ROOT


@pytest.fixture(scope="module")
def report():
    command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "tests/samples"]
    wide = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, cwd=ROOT, env=wide, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


def outcome(report, test):
    return re.search(rf"^(\w+) tests/samples/\w+\.py::{re.escape(test)}( - .*)?$", report, re.MULTILINE)[1]


@pytest.mark.parametrize("interpreter", ["unix", "wasm"])
def test_each_outcome_is_told(report, interpreter):
    assert outcome(report, f"test_passes[{interpreter}]") == "PASSED"
    assert outcome(report, f"test_fails[{interpreter}]") == "FAILED"
    assert outcome(report, f"test_ends[{interpreter}]") == "FAILED"
    assert outcome(report, f"test_runs_after_all[{interpreter}]") == "PASSED"
    assert outcome(report, f"test_never_starts[{interpreter}]") == "FAILED"


def test_a_failure_shows_error_and_source(report):
    assert "FAILED tests/samples/test_outcomes.py::test_fails[wasm] - ValueError: the failure of test_fails" in report
    assert '    raise ValueError("the failure of test_fails")' in report
    assert 'test_asserts[unix] - AssertionError: assert len("abc") == 4' in report


def test_an_interpreter_can_be_left_out(report):
    assert "the reason of the sample" in report
    assert outcome(report, "test_elsewhere[unix]") == "PASSED"
    assert "::test_elsewhere[wasm]" not in report
