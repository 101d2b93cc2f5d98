"""The command line, `motemo`: words in, exit code out (0: done, 1: it failed, 2: wrong words).

Each command stands in a module of its own under `commands` and is loaded when it is asked for. With --json a command
prints JSON on stdout and nothing else there; an error is then one JSON object too. Logs go to stderr.
"""

import json
import logging
import os
import signal
import sys
from io import TextIOWrapper
from typing import cast

from cyclopts import App, CycloptsError

from motemo import __version__
from motemo.errors import LocalError, MotemoError

__all__ = ["app", "main"]

app = App(
    name="motemo",
    version=__version__,
    help="Sensor boards as end-to-end encrypted contacts on XMPP.",
    suppress_keyboard_interrupt=False,  # `run` says what it means
)
board = App(name="board", help="Virtual boards.")
app.command(board)
trust = App(name="trust", help="Who may read and command boards that run.")
app.command(trust)
sessions = App(name="sessions", help="The OMEMO sessions of boards that run.")
app.command(sessions)
room = App(name="room", help="The group chat that boards report to.")
app.command(room)

WORDS = ("format", "too-large")  # reasons of a LocalError that mean: wrong words

# The help stands here because the modules are not loaded for a list of the commands.
_COMMANDS = {
    "ports": "List serial ports and virtual boards, and say what is behind each.",
    "provision": "Give a board its account and owners; it makes its keys itself.",
    "status": "Show what a board is and how it is.",
    "gateway": "Carry messages between boards and their accounts.",
    "listen": "Receive, store and print readings, as an owner's device.",
    "send": "Send an encrypted command to a board.",
    "retire": "Take a board out of service.",
    "identity": "Show the fingerprint of a collector's identity.",
}
for _name, _help in _COMMANDS.items():
    app.command(f"motemo_host.commands.{_name}:{_name}", name=_name, help=_help)
board.command("motemo_host.commands.board:run", name="run", help="Start a virtual board.")
_TRUST = {
    "list": ("list_", "Show the owners of boards and their pinned fingerprints."),
    "pin": ("pin", "Let more devices read and command boards."),
    "unpin": ("unpin", "Take devices the right to read and command boards."),
}
for _name, (_function, _help) in _TRUST.items():
    trust.command(f"motemo_host.commands.trust:{_function}", name=_name, help=_help)
sessions.command("motemo_host.commands.sessions:list_", name="list", help="Show the sessions of boards.")
sessions.command("motemo_host.commands.sessions:reset", name="reset", help="Let boards make new sessions.")
_ROOM = {
    "show": ("show", "Show the rooms of boards, and which owners are in it."),
    "set": ("set_", "Let boards report to a room."),
    "leave": ("leave", "Let boards report to each owner again."),
}
for _name, (_function, _help) in _ROOM.items():
    room.command(f"motemo_host.commands.room:{_function}", name=_name, help=_help)


def main() -> None:
    """The entry point of the `motemo` command."""
    os.umask(0o077)  # keys, passwords and readings are nobody else's
    # A QR code need not be printable on every terminal.
    cast(TextIOWrapper, sys.stdout).reconfigure(errors="replace")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Runs one command; returns its exit code."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(asctime)s %(name)s: %(message)s"
    )
    as_json = "--json" in words
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _explain(as_json, "words", str(error).strip().splitlines()[-1] + " Try motemo --help.")
        return 2
    except (MotemoError, OSError, BaseExceptionGroup) as error:
        return _failed(as_json, _cause(error))
    except KeyboardInterrupt:
        return 0  # how a gateway, a collector or a virtual board is ended
    return 0


def _cause(error: BaseException) -> MotemoError | OSError:
    """The first of a group's errors, if all are such as can be foreseen; a fault of the program is raised."""
    if isinstance(error, BaseExceptionGroup):
        known, others = error.split((MotemoError, OSError))
        if others is not None or known is None:
            raise error
        return _cause(known.exceptions[0])
    assert isinstance(error, MotemoError | OSError)
    return error


def _failed(as_json: bool, error: MotemoError | OSError) -> int:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        _explain(as_json, "refused", f"{place}{error.strerror or error}")
        return 1
    _explain(as_json, error.reason, error.text or error.reason)
    return 2 if isinstance(error, LocalError) and error.reason in WORDS else 1


def _explain(as_json: bool, reason: str, sentence: str) -> None:
    if as_json:
        print(json.dumps({"error": {"reason": reason, "text": sentence}}), flush=True)
    print(f"motemo: {sentence}", file=sys.stderr)
