"""The demo: a board, a gateway, a server and a collector on this machine, with a sealed reading going all the way.

Every step is the command that a user would type; `--keep` leaves it all running for exploring.
"""

import argparse
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.peers.prosody import Prosody

READINGS = 10
PATIENCE_SECONDS = 60
MOTEMO = Path(sys.executable).parent / "motemo"


class Failed(Exception):
    """A step of the demo did not do what it should."""


class Stage:
    """Runs motemo commands with one home; what goes on in the background ends with it."""

    def __init__(self, home: Path):
        self.home = home
        self._background: list[subprocess.Popen[str]] = []

    def command(self, *words: str) -> list[str]:
        return [str(MOTEMO), *words, "--home", str(self.home)]

    def run(self, *words: str) -> str:
        """Runs a command to its end, shows it and what it says; returns that."""
        show(words)
        result = subprocess.run(self.command(*words), stdout=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS)
        print(result.stdout, end="", flush=True)
        if result.returncode:
            raise Failed(f"motemo {words[0]} ended with exit code {result.returncode}")
        return result.stdout

    def start(self, *words: str) -> "Lines":
        """Starts a command in the background; returns its lines as they come."""
        show(words)
        process = subprocess.Popen(self.command(*words), stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._background.append(process)
        return Lines(process, words[0])

    def close(self) -> None:
        """Ends what runs, the newest first."""
        for process in reversed(self._background):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


class Lines:
    """The lines that a command in the background prints; waiting for them has a limit."""

    def __init__(self, process: subprocess.Popen[str], name: str):
        self._process = process
        self._name = name

    def next(self) -> str:
        """The next line; Failed when there is none in time."""
        assert self._process.stdout
        stuck = threading.Timer(PATIENCE_SECONDS, self._process.kill)
        stuck.start()
        try:
            line = self._process.stdout.readline()
        finally:
            stuck.cancel()
        if not line:
            raise Failed(f"motemo {self._name} ended or said nothing for {PATIENCE_SECONDS} s")
        return line.rstrip("\n")


def show(words: tuple[str, ...]) -> None:
    print(f"\n$ motemo {shlex.join(words)}", flush=True)


def play(folder: Path, keep: bool) -> None:
    """The whole demo in `folder`."""
    with Prosody(folder / "prosody") as server, contextlib.closing(Stage(folder / "home")) as stage:
        board, owner = server.add_account("kitchen", "board-secret"), server.add_account("alice", "owner-secret")
        for name, password in (("board", "board-secret"), ("owner", "owner-secret")):
            (folder / name).write_text(password + "\n")
            (folder / name).chmod(0o600)
        at_server = ("--server", f"{server.host}:{server.starttls_port}", "--ca", str(server.certificate))

        port = stage.start("board", "run", "kitchen").next().split(" is at ")[1].split(";")[0]
        print(port)
        identity = stage.run("identity", "--jid", owner).splitlines()
        fingerprint = identity[1].replace(" ", "")
        stage.run(
            "provision", "--port", port, "--jid", board, "--password-file", str(folder / "board"), *at_server,
            "--owner", f"{owner}={fingerprint}", "--label", "Kitchen", "--every", "1",
        )  # fmt: skip
        print(stage.start("gateway", "--port", port).next())
        listener = stage.start("listen", "--jid", owner, "--password-file", str(folder / "owner"), *at_server)
        print(listener.next())
        for _ in range(READINGS):
            print(listener.next())
        answer = stage.run("send", "set relay on", "--jid", owner, "--to", board, "--wait", "30")
        if answer.strip() != "relay is on":
            raise Failed(f"the board answered {answer!r}")
        if keep:
            explore(stage, board, owner, listener)


def explore(stage: Stage, board: str, owner: str, listener: Lines) -> None:
    """Prints what comes in until Ctrl-C."""
    print(f"\nEverything keeps running; Ctrl-C ends it. In another terminal:\n\n  export MOTEMO_HOME={stage.home}")
    print(f"  {MOTEMO} send status --jid {owner} --to {board} --wait 10\n")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            print(listener.next(), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/demo", description="Shows a sealed reading travel from a board to a chat."
    )
    parser.add_argument("--keep", action="store_true", help="leave it running for exploring, until Ctrl-C")
    keep = parser.parse_args().keep
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="motemo-demo-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)  # Prosody runs as another user
        try:
            play(Path(name), keep)
        except (Failed, subprocess.TimeoutExpired) as error:
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
    print(f"\nDone in {time.monotonic() - started:.1f} s: {READINGS} readings, sealed on the board, opened here.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
