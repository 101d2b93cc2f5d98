"""States that earlier versions have stored, so that later ones prove that they can read them.

`N/` is made once by the version that begins to store it so (`python -m tests.frozen.make N`) and never changed:

- `board.journal`: a board with a session in each phase and dialect, as a power cut leaves it
- `PHASE-DIALECT.journal`: the device at the other end of that session
- `letters.json`: what was under way between the two: {"PHASE-DIALECT": {"to_board": […], "to_peer": […]}}
- `python-omemo.json`: storages of python-omemo devices that the board talks with
"""

import os
from binascii import hexlify, unhexlify

from motemo.omemo.elements import LEGACY, OMEMO2, Encrypted
from motemo.profile import Profile
from motemo.store.journal import Journal
from tests.unit.test_engine import BOARD, Device
from tests.unit.test_former import Pair

FOLDER = __file__.rpartition("/")[0]
DIALECTS = {"omemo2": OMEMO2, "legacy": LEGACY}


def versions():
    """The names of the folders with states, the oldest first."""
    return sorted([name for name in os.listdir(FOLDER) if name.isdigit()], key=int)


def jid_of(name):
    """The account at the other end of the session of that name."""
    return name + "@example.org"


def load(place, journal):
    """The store of a journal's bytes, in a directory of its own at `place`."""
    Journal(place).close()  # makes the directory
    with open(place + "/journal", "wb") as file:
        file.write(journal)
    return Journal(place)


def pair(board, peer, name):
    """A `Pair` of the board and that peer from their stores."""
    jid = jid_of(name)
    profile = Profile(prekeys=3)
    ends = Device(BOARD, profile, store=board, peer=jid), Device(jid, profile, store=peer, peer=BOARD)
    return Pair(*ends, dialect=DIALECTS[name.rpartition("-")[2]])


def to_json(encrypted):
    """An `Encrypted` with one key as a list for JSON."""
    ((_, rid, kex, data),) = encrypted.keys
    parts = [part and hexlify(part).decode() for part in (data, encrypted.payload, encrypted.iv)]
    return [encrypted.dialect, encrypted.sid, rid, kex] + parts


def from_json(letter, jid):
    """The `Encrypted` to the account `jid`."""
    dialect, sid, rid, kex = letter[:4]
    data, payload, iv = [part and unhexlify(part) for part in letter[4:]]
    return Encrypted(dialect, sid, [(jid, rid, kex, data)], payload, iv)
