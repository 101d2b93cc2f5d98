"""What the gateway keeps for its boards, in SQLite: stanzas on their way, both ways. No plaintext, no keys.

inbound: a stanza for a board, until the board has taken it over. outbound: a message that was taken over from a
board, until the server has it. A row is on disk when the method returns, so that whoever hands over may forget. One
process, one thread.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cbor2

from motemo.errors import StateError

__all__ = ["Outbound", "Queue"]

MAX_WAITING = 10_000  # rows for one board and direction
_REMEMBERED = 1_000  # messages of one board and direction by which a repetition is known
_VERSION = 2
_SCHEMA = """
CREATE TABLE inbound (seq INTEGER PRIMARY KEY AUTOINCREMENT, board TEXT NOT NULL, message BLOB NOT NULL);
CREATE INDEX inbound_board ON inbound (board, seq);
CREATE TABLE seen (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, board TEXT NOT NULL, archive_id TEXT NOT NULL, UNIQUE (board, archive_id)
);
CREATE INDEX seen_board ON seen (board, seq);
CREATE TABLE outbound (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    board TEXT NOT NULL,
    id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    recipient TEXT NOT NULL,
    stanza TEXT, -- NULL once the server has it
    kind TEXT NOT NULL DEFAULT 'chat',
    UNIQUE (board, id, digest)
);
CREATE INDEX outbound_board ON outbound (board, seq);
CREATE TABLE board (jid TEXT PRIMARY KEY, online INTEGER NOT NULL);
"""
# What makes a file of the former version one of the next.
_STEPS = {1: "ALTER TABLE outbound ADD COLUMN kind TEXT NOT NULL DEFAULT 'chat';"}


class Outbound(NamedTuple):
    """A message of a board that the server has yet to take. `stanza_id` is the same at each attempt."""

    seq: int
    recipient: str
    stanza: str
    stanza_id: str


class Queue:
    """The queue in one file (mode 0600), made when it is not there.

    StateError "corrupt" when the file is no queue of ours or cannot be read or written.
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)
        try:
            # SQLite gives its journal files the mode of the database.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            self._db = sqlite3.connect(self._path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
            elif version in _STEPS:
                self._db.executescript(f"BEGIN; {_STEPS[version]} PRAGMA user_version = {_VERSION}; COMMIT;")
            elif version != _VERSION:
                raise StateError("corrupt", f"{self._path} belongs to another version of Motemo")
        except (OSError, sqlite3.Error) as error:
            raise StateError("corrupt", f"{self._path} cannot be used as a queue: {error}") from None

    def close(self) -> None:
        """Close the file; what is in it stays."""
        self._db.close()

    # --- to the board

    def keep_inbound(self, board: str, message: dict[str, Any], archive_id: str | None = None) -> bool:
        """Keep a stanza for a board, as fields of a link message; StateError "full" when too many wait.

        `archive_id`: its id in the account's archive; False if a stanza with this id was kept before.
        """
        self._require_room("inbound", board)
        with self._transaction():
            if archive_id and not self._note_seen(board, archive_id):
                return False
            self._run("INSERT INTO inbound (board, message) VALUES (?, ?)", board, cbor2.dumps(message))
        return True

    def _note_seen(self, board: str, archive_id: str) -> bool:
        done = self._run("INSERT OR IGNORE INTO seen (board, archive_id) VALUES (?, ?)", board, archive_id)
        self._forget("seen", board)
        return done.rowcount == 1

    def next_inbound(self, board: str) -> tuple[int, dict[str, Any]] | None:
        """Return the oldest stanza that waits for a board as (number, message)."""
        row = self._run("SELECT seq, message FROM inbound WHERE board = ? ORDER BY seq LIMIT 1", board).fetchone()
        return (row[0], cbor2.loads(row[1])) if row else None

    def inbound_taken(self, seq: int) -> None:
        """The board has taken it over: forget it."""
        self._run("DELETE FROM inbound WHERE seq = ?", seq)

    # --- from the board

    def keep_outbound(self, board: str, id: int, recipient: str, stanza: str, kind: str = "chat") -> bool:
        """Take a message over from a board; False if it was taken over before (same id, same content).

        kind: the stanza's type, `chat` or `groupchat`. StateError "full" when too many wait.
        """
        self._require_room("outbound", board, "AND stanza IS NOT NULL")
        digest = hashlib.sha256(f"{id}\n{recipient}\n{stanza}".encode()).digest()
        done = self._run(
            "INSERT OR IGNORE INTO outbound (board, id, digest, recipient, stanza, kind) VALUES (?, ?, ?, ?, ?, ?)",
            *(board, id, digest, recipient, stanza, kind),
        )
        return done.rowcount == 1

    def outbound(self, board: str, most: int, kind: str = "chat") -> list[Outbound]:
        """Return the oldest messages of a kind of a board that the server has yet to take."""
        rows = self._run(
            "SELECT seq, recipient, stanza, digest FROM outbound WHERE board = ? AND kind = ? "
            "AND stanza IS NOT NULL ORDER BY seq LIMIT ?",
            *(board, kind, most),
        )
        return [Outbound(seq, to, stanza, digest[:12].hex()) for seq, to, stanza, digest in rows]

    def outbound_taken(self, board: str, seq: int) -> None:
        """The server has it: drop the stanza, remember the id for a while."""
        self._run("UPDATE outbound SET stanza = NULL WHERE seq = ?", seq)
        self._forget("outbound", board, "AND stanza IS NULL")

    # --- the rest

    def waiting(self, board: str) -> tuple[int, int]:
        """Return how many stanzas wait (for the board, for the server)."""
        return self._count("inbound", board), self._count("outbound", board, "AND stanza IS NOT NULL")

    def note_online(self, board: str, when: int) -> None:
        """Note that a board's account was online at `when` (unix seconds): catching up starts there."""
        self._run("INSERT OR REPLACE INTO board (jid, online) VALUES (?, ?)", board, when)

    def last_online(self, board: str) -> int | None:
        """Return when a board's account was online last, None if never."""
        row = self._run("SELECT online FROM board WHERE jid = ?", board).fetchone()
        return row[0] if row else None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    def _forget(self, table: str, board: str, condition: str = "") -> None:
        """Delete what is older than the last rows of a board."""
        self._run(
            f"DELETE FROM {table} WHERE board = ? {condition} AND seq <= "
            f"(SELECT seq FROM {table} WHERE board = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            *(board, board, _REMEMBERED),
        )

    def _count(self, table: str, board: str, condition: str = "") -> int:
        return self._run(f"SELECT count(*) FROM {table} WHERE board = ? {condition}", board).fetchone()[0]

    def _require_room(self, table: str, board: str, condition: str = "") -> None:
        if self._count(table, board, condition) >= MAX_WAITING:
            raise StateError("full", f"{MAX_WAITING} stanzas wait for {board}")

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise StateError("corrupt", f"{self._path}: {error}") from None
