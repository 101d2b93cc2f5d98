"""What a collector's account has received: by which archive ids a message that comes again is known, and until when
nothing is missing. In SQLite, in the identity's folder; nothing of the messages is in it.
"""

import sqlite3
from pathlib import Path

from motemo.errors import StateError

__all__ = ["Arrivals"]

_REMEMBERED = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS arrived (seq INTEGER PRIMARY KEY, archive_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS online (one INTEGER PRIMARY KEY CHECK (one = 1), time INTEGER NOT NULL);
"""


class Arrivals:
    """Opens or makes the file (mode 0600). Raises StateError "corrupt" when it cannot be used."""

    def __init__(self, path: Path):
        self._path = path
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None)
            # What a power cut takes away comes again from the archive, and is refused by the ratchet.
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None

    def has(self, archive_id: str) -> bool:
        """Whether the message with this id was dealt with."""
        return self._run("SELECT 1 FROM arrived WHERE archive_id = ?", archive_id).fetchone() is not None

    def add(self, archive_id: str) -> None:
        """Notes that the message with this id was dealt with."""
        done = self._run("INSERT OR IGNORE INTO arrived (archive_id) VALUES (?)", archive_id)
        self._run("DELETE FROM arrived WHERE seq <= ?", (done.lastrowid or 0) - _REMEMBERED)

    def note_online(self, when: int) -> None:
        """Notes that everything until `when` (unix seconds) has arrived."""
        self._run("INSERT OR REPLACE INTO online VALUES (1, ?)", when)

    def last_online(self) -> int | None:
        """Until when everything has arrived, None if nothing ever did."""
        row = self._run("SELECT time FROM online").fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _run(self, statement: str, *values: str | int) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> StateError:
        return StateError("corrupt", f"{self._path} cannot be used ({error}); make it usable, or remove it")
