"""The list of the rules: every rule that binds us has a test or a reason, and docs/requirements.md says so."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = """\
["Part one"]
O-001 = { level = "M", who = "d", rule = "be good" }
O-002 = { level = "M", who = "d h", rule = "be kind", planned = "kindness" }
O-003 = { level = "S", who = "h", rule = "be quick" }
O-004 = { level = "D", who = "s", rule = "be there" }
O-005 = { level = "M", who = "d", rule = "be loud", waived = "it is night" }
["Part two"]
planned = "the next year"
C-01 = { level = "M", who = "h", rule = "be rich" }
"""
SAMPLE = '@covers("O-001")\ndef test_it(): pass\n'


def requirements(*arguments):
    command = [sys.executable, ROOT / "tools" / "requirements", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path):
    """A folder with a list and a test, for which docs/requirements.md was made."""
    for folder in ("docs", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "docs" / "requirements.toml").write_text(RULES)
    (tmp_path / "tests" / "test_sample.py").write_text(SAMPLE)
    made = requirements("--root", tmp_path)
    assert (made.returncode, made.stderr) == (0, "")
    return tmp_path


def problems(project, *, rules=RULES, sample=SAMPLE):
    """What is said of the project with other rules or tests, once docs/requirements.md was made anew."""
    (project / "docs" / "requirements.toml").write_text(rules)
    (project / "tests" / "test_sample.py").write_text(sample)
    requirements("--root", project)
    checked = requirements("--root", project, "--check")
    assert checked.returncode == (1 if checked.stderr else 0)
    return checked.stderr.replace("requirements: ", "").splitlines()


def test_every_rule_that_binds_us_has_a_test_or_a_reason():
    checked = requirements("--check")
    assert checked.returncode == 0, checked.stderr


def test_the_table_tells_tests_and_reasons(project):
    lines = (project / "docs" / "requirements.md").read_text().splitlines()
    assert [line for line in lines if line.startswith(("| O-", "| C-"))] == [
        "| O-001 | M | d | be good | `test_sample.py::test_it` |",
        "| O-002 | M | d h | be kind | **planned**: kindness |",
        "| O-003 | S | h | be quick | **open** |",
        "| O-004 | D | s | be there | not ours |",
        "| O-005 | M | d | be loud | **waived**: it is night |",
        "| C-01 | M | h | be rich | **planned**: the next year |",
    ]
    summary = "6 rules: 1 with tests, 2 planned (2 of them M or D), 1 waived (1 of them M or D), 1 open, 1 not ours"
    assert summary + "." in lines
    assert requirements("--root", project, "--check").stdout == summary + "\n"


def test_a_table_that_is_out_of_date_is_told_and_left_alone(project):
    table = project / "docs" / "requirements.md"
    for change in (lambda: table.write_text("old"), table.unlink):
        change()
        checked = requirements("--root", project, "--check")
        assert checked.returncode == 1
        assert checked.stderr == "requirements: docs/requirements.md is out of date: run tools/requirements\n"
    assert not table.exists()


def test_a_tag_without_a_rule_is_told(project):
    sample = '@covers("O-001", "O-009")\nasync def test_it(): pass\n'
    assert problems(project, sample=sample) == ["no rule O-009: test_sample.py::test_it"]


@pytest.mark.parametrize("level", ["M", "D"])
def test_a_binding_rule_without_test_and_reason_is_told(project, level):
    rules = RULES.replace('level = "M", who = "d",', f'level = "{level}", who = "d",')
    assert problems(project, rules=rules) == []
    assert problems(project, rules=rules, sample="def test_it(): pass\n") == [
        f"O-001 ({level}) has no test and no reason: be good"
    ]
    # What is no test covers nothing.
    assert len(problems(project, rules=rules, sample='@covers("O-001")\ndef helper(): pass\n')) == 1


def test_a_reason_beside_a_test_is_told(project):
    sample = '@covers("O-001", "O-002", "O-005", "C-01")\ndef test_it(): pass\n'
    assert problems(project, sample=sample) == [
        "O-002 is planned and has a test, test_sample.py::test_it: one of them has to go",
        "O-005 is waived and has a test, test_sample.py::test_it: one of them has to go",
    ]
    both = RULES.replace('waived = "it is night"', 'waived = "it is night", planned = "the day"')
    assert problems(project, rules=both) == ["O-005 is waived and planned: one of them has to go"]


@pytest.mark.parametrize(
    "change",
    [
        ('level = "S"', 'level = "X"'),
        ('who = "h", rule = "be quick"', 'who = "x", rule = "be quick"'),
        ("planned =", "plannned ="),
        ("C-01", "O-001"),
        ("[", "<"),
    ],
)
def test_a_list_that_breaks_its_own_form_is_refused(project, change):
    (found,) = problems(project, rules=RULES.replace(*change))
    assert found.startswith("docs/requirements.toml: ")
