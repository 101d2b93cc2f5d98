"""The virtual board behaves as a board: REPL, raw REPL, resets, power cuts, unplugging, flash that stays."""

import random
import select
import threading
import time

import pytest
import serial
from mpremote.transport_serial import SerialTransport

from motemo.errors import StateError
from motemo_host.virtual import VirtualBoard


@pytest.fixture
def board(tmp_path):
    with VirtualBoard("one", tmp_path / "one") as board:
        board.start()
        yield board


def open_port(board):
    return serial.Serial(str(board.port), timeout=5, exclusive=True)


def run(board, code):
    """Runs code in the raw REPL of a bare board and returns what it printed."""
    transport = SerialTransport(str(board.port))
    try:
        transport.enter_raw_repl(soft_reset=False)
        return transport.exec(code).decode().strip()
    finally:
        transport.exit_raw_repl()
        transport.close()


def install_main(board, source):
    run(board, f"with open('main.py', 'w') as file:\n file.write({source!r})")


def test_a_bare_board_shows_the_repl_of_micropython(board):
    with open_port(board) as port:
        port.write(b"\r")
        port.read_until(b">>> ")
        port.write(b"6 * 7\r")
        assert b"42" in port.read_until(b"42")


def test_a_bare_board_has_110_kib_of_heap_free(board):
    assert int(run(board, "import gc; gc.collect(); print(gc.mem_free())")) >= 110 * 1024


def test_mpremote_enters_the_raw_repl_with_and_without_a_soft_reset(board):
    install_main(board, "import time\nwhile True:\n time.sleep(0.01)\n")
    boots = board.boots
    transport = SerialTransport(str(board.port))
    transport.enter_raw_repl(soft_reset=True)
    assert transport.exec("print(1)").split() == [b"1"]
    transport.enter_raw_repl(soft_reset=True)
    transport.exit_raw_repl()
    transport.close()
    assert board.boots == boots + 2


def test_files_stay_over_resets_and_power_cuts(board):
    run(board, "import os; os.mkdir('d')\nwith open('d/f', 'w') as file:\n file.write('kept')")
    for restart in ("reset", "cut"):
        boots = board.boots
        if restart == "reset":
            with open_port(board) as port:
                port.write(b"import machine; machine.reset()\r")
                wait_for(lambda before=boots: board.boots > before)
        else:
            board.kill()
            assert not board.powered
            board.start()
        assert run(board, "print(open('d/f').read())") == "kept"


def test_main_runs_at_power_on_and_ctrl_c_stops_it(board):
    install_main(board, "import time\nprint('main up')\nwhile True:\n time.sleep(0.01)\n")
    with open_port(board) as port:
        board.kill()
        board.start()
        port.read_until(b"main up")
        port.write(b"\x03")
        assert b"KeyboardInterrupt" in port.read_until(b">>> ")


def test_ctrl_c_is_a_byte_when_the_program_wants_bytes(board):
    install_main(
        board,
        "import micropython, sys\nmicropython.kbd_intr(-1)\nprint('up')\n"
        "while True:\n sys.stdout.buffer.write(sys.stdin.buffer.read(1))\n",
    )
    data = bytes(range(256)) * 8
    with open_port(board) as port:
        board.kill()
        board.start()
        port.read_until(b"up\n")
        port.write(data)
        assert port.read(len(data)) == data


def test_a_crash_starts_the_board_anew(board):
    boots = board.boots
    with open_port(board) as port:
        port.write(b"import os; os.system('kill -SEGV $PPID')\r")
        wait_for(lambda: board.boots > boots)
        port.write(b"\r\r7 * 7\r")
        assert b"49" in port.read_until(b"49")


def test_unplugging_hangs_up_and_the_board_runs_on(board):
    with open_port(board) as port:
        port.write(b"x = 5\r")
        port.read_until(b">>> ")
        port.read_until(b">>> ")
        board.unplug()
        with pytest.raises((serial.SerialException, OSError)):
            for _ in range(50):
                port.read(1)
                port.write(b" ")
    assert not board.port.exists()
    board.plug()
    with open_port(board) as port:
        port.write(b"\rx * 100\r")
        assert b"500" in port.read_until(b"500")
    assert board.boots == 1


def test_output_that_nobody_takes_does_not_stop_the_board(board):
    with open_port(board) as port:
        port.write(b"for i in range(20000): print('x' * 50)\r\r\r")
    wait_for(lambda: board.dropped > 100000)
    assert "7" in run(board, "print(3 + 4)")


def test_the_filters_see_the_bytes_of_the_cable(board):
    board.to_host = lambda data: data.replace(b"6", b"#")
    with open_port(board) as port:
        port.write(b"\r60 + 6\r")
        assert b"##" in port.read_until(b"##")


def test_a_board_has_one_supervisor(board, tmp_path):
    with pytest.raises(StateError, match="already"):
        VirtualBoard("one", tmp_path / "one")


def test_the_id_and_the_sensors_are_there(board):
    lines = run(
        board,
        "import machine, esp32\nprint(machine.unique_id().hex())\npin = machine.Pin(2, machine.Pin.OUT)\npin.on()\n"
        "print(machine.Pin(2).value())\nprint(all(20 <= esp32.mcu_temperature() <= 45 for _ in range(1000)))",
    ).split()
    assert len(lines[0]) == 12 and lines[1:] == ["1", "True"]
    board.kill()
    board.start()
    assert run(board, "import machine; print(machine.unique_id().hex())") == lines[0]


def test_a_board_that_cannot_boot_says_so(tmp_path):
    with VirtualBoard("small", tmp_path, heap_kib=2) as board:
        board.start()
        assert board.wait(10)
        assert "does not boot" in board.failure


def test_power_and_cable_can_come_and_go_at_any_time(board):
    install_main(board, "import time\nwhile True:\n print('x' * 200)\n time.sleep(0.001)\n")
    chance = random.Random(1)
    for _ in range(60):
        chance.choice([board.kill, board.start, board.plug, board.unplug])()
        time.sleep(chance.random() / 100)
    board.plug()
    board.start()
    with open_port(board) as port:
        assert b"xxx" in port.read(1000)


def test_nothing_is_lost_or_changed_at_full_speed(board):
    install_main(
        board,
        "import micropython, sys\nmicropython.kbd_intr(-1)\nprint('up')\n"
        "while True:\n sys.stdout.buffer.write(sys.stdin.buffer.read(64))\n",
    )
    data = random.Random(2).randbytes(256 * 1024)
    with open_port(board) as port:
        board.kill()
        board.start()
        port.read_until(b"up\n")
        writer = threading.Thread(target=port.write, args=(data,))
        writer.start()
        assert port.read(len(data)) == data
        writer.join()


def wait_for(condition, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        select.select([], [], [], 0.01)
