"""The agent gets onto a bare board through MicroPython's own raw REPL, and an interrupted installation is resumed."""

import time

import pytest
import serial

from motemo.errors import LocalError, StateError
from motemo_host import install as installer
from motemo_host.install import install
from motemo_host.serialport import PortError
from motemo_host.virtual import VirtualBoard
from tests.system.test_virtual_board import run, wait_for

MAIN = b"import motemo.greet\nprint(motemo.greet.words)\n"
FILES = {
    "lib/motemo/__init__.py": b"",
    "lib/motemo/greet.py": b"words = 'agent up'\n",
    "lib/motemo/deep/data.py": bytes(range(32, 127)) * 60,
    "main.py": MAIN,
}


@pytest.fixture
def board(tmp_path):
    """A board without a ROM partition: the modules go to its file system."""
    with VirtualBoard("one", tmp_path / "one", rom_kib=0) as board:
        board.start()
        yield board


@pytest.fixture
def rom_board(tmp_path):
    with VirtualBoard("one", tmp_path / "one", rom_kib=16) as board:
        board.start()
        yield board


def put(board, **options):
    boots = board.boots
    report = install(str(board.port), modules=FILES, **options)
    wait_for(lambda: board.boots > boots + 1)  # after the soft reset at its begin, the reset at its end
    return report


def test_the_agent_is_installed_and_starts(board):
    with serial.Serial(str(board.port), timeout=5):
        pass
    steps = []
    report = put(board, progress=lambda *step: steps.append(step))
    assert sorted(report.written) == sorted(FILES)
    assert report.bytes_written == sum(map(len, FILES.values()))
    assert steps[-1][0] == steps[-1][1] == report.bytes_written
    assert run(
        board, "print(open('lib/motemo/deep/data.py').read() == ''.join(chr(32 + i) for i in range(95)) * 60)"
    ) == ("True")
    with serial.Serial(str(board.port), timeout=5) as port:
        port.write(b"\x04")
        assert port.read_until(b"agent up").endswith(b"agent up")


def test_with_a_rom_partition_the_modules_go_there_and_take_no_flash(rom_board):
    steps = []
    report = put(rom_board, progress=lambda *step: steps.append(step))
    assert report.written == ["/rom", "main.py"]
    assert steps[-1][0] == steps[-1][1] == report.bytes_written
    assert run(rom_board, "import motemo.greet; print(motemo.greet.words, motemo.greet.__file__)") == (
        "agent up /rom/lib/motemo/greet.py"
    )
    assert run(rom_board, "print(open('/rom/lib/motemo/deep/data.py').read()[1:4])") == '!"#'
    assert run(rom_board, "import os; print(os.listdir())") == "['main.py']"
    again = put(rom_board)
    assert again.written == [] and again.unchanged == 1
    run(rom_board, "import vfs; vfs.rom_ioctl(4, 0, 60, b'x')")
    assert put(rom_board).written == ["/rom"]


def test_an_agent_too_large_for_the_rom_partition_goes_to_the_file_system(rom_board):
    files = {**FILES, "lib/motemo/big.py": bytes(17 * 1024)}
    report = install(str(rom_board.port), modules=files)
    assert sorted(report.written) == sorted(files)


def test_an_agent_that_moves_into_rom_leaves_the_file_system(rom_board):
    big = {**FILES, "lib/motemo/greet.py": b"words = 'old'\n" + b"#" * 16000}
    boots = rom_board.boots
    install(str(rom_board.port), modules=big)
    wait_for(lambda: rom_board.boots > boots + 1)
    report = put(rom_board)
    assert report.written == ["/rom"]
    assert sorted(report.removed) == sorted(name for name in FILES if name != "main.py")
    assert run(rom_board, "import motemo.greet; print(motemo.greet.words)") == "agent up"


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_half_an_image_is_none_and_is_written_again(rom_board, limit):
    put(rom_board)
    changed = {**FILES, "lib/motemo/greet.py": b"words = 'new agent'\n", "lib/motemo/more.py": bytes(2000)}
    steps = []

    def cut(*step):
        steps.append(step)
        if len(steps) == limit:
            rom_board.kill()
            rom_board.start()

    with pytest.raises(Exception):  # noqa: B017 - the REPL that answers is another one: the message varies
        install(str(rom_board.port), modules=changed, progress=cut)
    assert "no module" in run(rom_board, "try:\n import motemo.greet\nexcept ImportError as error:\n print(error)")
    assert run(rom_board, "import os; print(os.listdir())") == "['main.off']"
    install(str(rom_board.port), modules=changed)
    assert run(rom_board, "import motemo.greet; print(motemo.greet.words)") == "new agent"


def test_only_what_differs_is_written_and_what_is_stale_goes(board):
    put(board)
    assert put(board).written == []
    run(
        board,
        "open('lib/motemo/old.py', 'w').close()\nwith open('lib/motemo/greet.py', 'w') as file:\n file.write('x')",
    )
    report = put(board)
    assert report.written == ["lib/motemo/greet.py"]
    assert report.removed == ["lib/motemo/old.py"]
    assert run(board, "import os; print(sorted(os.listdir()))") == "['lib', 'main.py']"


def test_an_application_of_ones_own_stays_until_another_is_given(board):
    run(board, "with open('main.py', 'w') as file:\n file.write('mine = 1')")
    assert put(board).kept_main
    assert run(board, "print(open('main.py').read())") == "mine = 1"
    assert put(board, main=b"other = 2").written == ["main.py"]
    assert run(board, "print(open('main.py').read())") == "other = 2"


@pytest.mark.parametrize("limit", [0, 40, 1500, 2500, 4000, 8000])
def test_it_resumes_after_unplugging_anywhere(board, limit):
    passed = 0

    def unplug_at_limit(data):
        nonlocal passed
        passed += len(data)
        if passed > limit:
            board.unplug()
            return b""
        return data

    put(board, main=MAIN)
    run(
        board,
        "import os; os.remove('lib/motemo/deep/data.py')\nwith open('lib/motemo/greet.py', 'w') as f:\n f.write('')",
    )
    board.to_board = unplug_at_limit
    with pytest.raises(PortError, match="run this again"):
        put(board)
    board.to_board = bytes
    board.plug()
    board.kill()
    board.start()
    put(board)
    assert put(board).written == []
    assert run(board, "import motemo.greet; print(motemo.greet.words)") == "agent up"


def test_a_power_cut_in_the_middle_is_resumed(board):
    seen = []

    def cut(done, total, name):
        seen.append(name)
        if len(seen) == 2:
            board.kill()
            board.start()

    with pytest.raises(Exception):  # noqa: B017 - the REPL that answers is another one: the message varies
        put(board, progress=cut)
    put(board)
    assert put(board).written == []


def test_what_does_not_fit_is_said_before_anything_is_written(board):
    files = {**FILES, "lib/motemo/big.py": bytes(600 * 1024)}
    with pytest.raises(StateError) as caught:
        install(str(board.port), modules=files)
    assert caught.value.reason == "full"
    assert run(board, "import os; print(os.listdir())") == "[]"


def test_a_port_that_is_not_there_or_busy_is_named(board, tmp_path):
    with pytest.raises(PortError) as caught:
        install(str(tmp_path / "none"))
    assert caught.value.kind == "missing"
    with serial.Serial(str(board.port), exclusive=True):
        with pytest.raises(PortError) as caught:
            put(board)
    assert caught.value.kind == "busy" and "process" in caught.value.text


def test_an_old_micropython_is_refused(board, monkeypatch):
    monkeypatch.setattr(installer, "_LEAST_MICROPYTHON", (9, 0))
    with pytest.raises(LocalError, match="too old"):
        put(board)


def test_the_firmware_compiles_without_what_is_for_the_host_alone():
    files = installer.firmware("x64")
    assert "lib/motemo/errors.mpy" in files and "main.py" in files
    assert not any("_native" in name for name in files)


def test_installing_is_fast_enough(board):
    started = time.monotonic()
    put(board)
    assert time.monotonic() - started < 5
