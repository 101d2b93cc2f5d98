"""The command line, `motemo`: words in, exit code out (0: done, 1: it failed, 2: wrong words).

Each command stands in a module of its own under `commands` and is loaded when it is asked for. With --json a command
prints JSON on stdout and nothing else there; an error is then one JSON object too. Logs go to stderr.
"""

import json
import logging
import sys

from cyclopts import App, CycloptsError

from motemo import __version__
from motemo.errors import MotemoError

__all__ = ["app", "main"]

app = App(name="motemo", version=__version__, help="Sensor boards as end-to-end encrypted contacts on XMPP.")
board = App(name="board", help="Virtual boards.")
app.command(board)

# The help stands here because the modules are not loaded for a list of the commands.
_COMMANDS = {
    "ports": "List serial ports and virtual boards, and say what is behind each.",
    "provision": "Give a board its account and owners; it makes its keys itself.",
    "status": "Show what a board is and how it is.",
    "gateway": "Carry messages between boards and their accounts.",
    "listen": "Receive, store and print readings, as an owner's device.",
    "send": "Send an encrypted command to a board.",
    "identity": "Show the fingerprint of a collector's identity.",
}
for _name, _help in _COMMANDS.items():
    app.command(f"motemo_host.commands.{_name}:{_name}", name=_name, help=_help)
board.command("motemo_host.commands.board:run", name="run", help="Start a virtual board.")


def main() -> None:
    """The entry point of the `motemo` command."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Runs one command; returns its exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    as_json = "--json" in words
    try:
        app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _explain(as_json, "words", str(error).strip().splitlines()[-1] + " Try motemo --help.")
        return 2
    except MotemoError as error:
        _explain(as_json, error.reason, error.text or error.reason)
        return 1
    except BaseExceptionGroup as group:
        error = _cause(group)
        _explain(as_json, error.reason, error.text or error.reason)
        return 1
    except KeyboardInterrupt:
        return 0  # how a gateway, a collector or a virtual board is ended
    return 0


def _cause(group: BaseExceptionGroup) -> MotemoError:
    """The first of our errors in a group; anything else is a fault of the program and is raised."""
    known, others = group.split(MotemoError)
    if others is not None or known is None:
        raise group
    first: BaseException = known
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, MotemoError)
    return first


def _explain(as_json: bool, reason: str, sentence: str) -> None:
    if as_json:
        print(json.dumps({"error": {"reason": reason, "text": sentence}}), flush=True)
    print(f"motemo: {sentence}", file=sys.stderr)
