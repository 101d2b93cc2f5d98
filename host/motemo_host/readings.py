"""The collector's readings in SQLite: one row for each SenML record (RFC 8428) that came in."""

import json
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple

from motemo.errors import RemoteError, StateError

__all__ = ["Reading", "Readings", "parse_senml"]

_MAX_RECORDS = 256

_SCHEMA = """
CREATE TABLE IF NOT EXISTS readings (
    id INTEGER PRIMARY KEY,
    board TEXT NOT NULL,
    device INTEGER NOT NULL,
    trusted INTEGER NOT NULL,
    received REAL NOT NULL,
    time REAL NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    value
);
CREATE INDEX IF NOT EXISTS readings_by_board ON readings (board, name, time);
"""


class Reading(NamedTuple):
    """One measured value. time: Unix seconds, when it was measured (0: the board did not know)."""

    name: str
    unit: str
    value: float | str | bool
    time: float


class Readings:
    """Opens or makes the database; `add` returns once the rows are on disk. Raises StateError "corrupt"."""

    def __init__(self, path: Path):
        self._path = path
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None

    def add(self, board: str, device: int, trusted: bool, readings: list[Reading]) -> None:
        """Stores what one message held."""
        now = time.time()
        rows = [(board, device, trusted, now, one.time or now, one.name, one.unit, one.value) for one in readings]
        try:
            with self._db:
                self._db.execute("BEGIN")
                self._db.executemany(
                    "INSERT INTO readings (board, device, trusted, received, time, name, unit, value) "
                    "VALUES (?,?,?,?,?,?,?,?)",
                    rows,
                )
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> StateError:
        return StateError(
            "corrupt", f"readings cannot be stored in {self._path} ({error}); make it usable, or see --db"
        )

    def close(self) -> None:
        """Closes the database."""
        self._db.close()


def parse_senml(text: str) -> list[Reading]:
    """The records of a SenML pack with its base fields resolved (section 4.6); raises RemoteError "format"."""
    try:
        pack = json.loads(text)
    except ValueError:
        raise RemoteError("format", "SenML is not JSON") from None
    if not isinstance(pack, list) or len(pack) > _MAX_RECORDS:
        raise RemoteError("format", "SenML is not a list of records")
    base_name, base_unit, base_time, base_value = "", "", 0.0, 0.0
    readings = []
    for record in pack:
        if not isinstance(record, dict):
            raise RemoteError("format", "SenML record")
        base_name = _text(record, "bn", base_name)
        base_unit = _text(record, "bu", base_unit)
        base_time = _number(record, "bt", base_time)
        base_value = _number(record, "bv", base_value)
        value = next((record[key] for key in ("vs", "vb") if key in record), None)
        if "v" in record:
            value = base_value + _number(record, "v", 0)
        if not isinstance(value, int | float | str):
            continue  # a record of base fields only, or of a kind that we do not store
        moment = base_time + _number(record, "t", 0)
        readings.append(Reading(base_name + _text(record, "n", ""), _text(record, "u", base_unit), value, moment))
    return readings


def _text(record: dict, key: str, default: str) -> str:
    value = record.get(key, default)
    if not isinstance(value, str) or len(value) > 255:
        raise RemoteError("format", "SenML field " + key)
    return value


def _number(record: dict, key: str, default: float) -> float:
    value = record.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e15:
        raise RemoteError("format", "SenML field " + key)
    return value
