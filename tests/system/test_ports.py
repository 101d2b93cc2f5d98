"""Ports are found, asked gently, and described with what to do."""

import os
import pty

import pytest
import serial

from motemo_host.install import install
from motemo_host.ports import find, probe, survey
from motemo_host.virtual import VirtualBoard
from tests.system.test_boardlink import BOARD, link_files
from tests.system.test_virtual_board import install_main, open_port, run


@pytest.fixture
def board(tmp_path):
    with VirtualBoard("one", tmp_path / "boards" / "one") as board:
        board.start()
        yield board


async def test_virtual_boards_are_found_while_they_run(board, tmp_path):
    paths = [port.path for port in find(tmp_path)]
    assert str(board.port) in paths
    reports = {report.path: report for report in await survey(tmp_path)}
    assert reports[str(board.port)].state == "micropython"
    assert "motemo provision" in reports[str(board.port)].text
    board.close()
    assert str(board.port) not in [port.path for port in find(tmp_path)]


async def test_an_agent_is_asked_for_its_status(board):
    install(str(board.port), modules={**link_files(), "main.py": BOARD})
    report = await probe(str(board.port))
    assert report.state == "agent"
    assert report.board["label"] == "a board"
    assert "provision" in report.text


async def test_a_program_is_not_interrupted(board):
    install_main(board, "import time\nx = 0\nwhile True:\n x += 1\n print(x)\n time.sleep(0.05)\n")
    board.kill()
    board.start()
    report = await probe(str(board.port))
    assert report.state == "program"
    with open_port(board) as port:
        assert int(port.read_until(b"\n")[:-1] or 0) or int(port.read_until(b"\n")) > 10


async def test_a_board_in_the_raw_repl_is_found_and_put_back_to_its_prompt(board):
    with open_port(board) as port:
        port.write(b"\x01")
        port.read_until(b">")
    assert (await probe(str(board.port))).state == "micropython"
    assert run(board, "print(5)") == "5"


async def test_what_does_not_answer_is_silent():
    master, slave = pty.openpty()
    try:
        assert (await probe(os.ttyname(slave))).state == "silent"
    finally:
        os.close(master)
        os.close(slave)


async def test_a_busy_port_says_who_has_it(board):
    with serial.Serial(str(board.port), exclusive=True):
        report = await probe(str(board.port))
    assert report.state == "busy"
    assert f"process {os.getpid()}" in report.text


async def test_a_missing_port_says_so(tmp_path):
    report = await probe(str(tmp_path / "none"))
    assert report.state == "missing" and "motemo ports" in report.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open all ports")
async def test_a_forbidden_port_says_what_to_join(board):
    os.chmod(board.port, 0)
    assert (await probe(str(board.port))).state == "permission"
