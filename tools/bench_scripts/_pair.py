"""A board and its owner as two engines, with nothing between them; on every interpreter."""

from motemo.omemo import bundle, identity, trust
from motemo.omemo.engine import Engine
from motemo.profile import Profile
from tests.bundles import make_bundle
from tests.memory_store import MemoryStore

BOARD, OWNER = "board1@example.org", "alice@example.org"


def device(jid, store=None, **limits):
    """An engine with keys of its own. limits: those of its profile that are not the default."""
    store = store or MemoryStore()
    identity.create(store, jid)
    engine = Engine(store, Profile(**limits))
    bundle.fill(engine.keys, engine.profile.prekeys)
    return engine


def introduce(one, other):
    """Lets `one` know the device of `other`, and pins it."""
    trust.pin(one.store, other.keys.jid, [other.keys.fingerprint])
    one.on_devices(other.keys.jid, [other.keys.device])


def start(board, owner):
    """The first message of the board, an `Encrypted` with a key exchange, which the owner has read but not answered."""
    introduce(board, owner)
    introduce(owner, board)
    board.on_bundle(owner.keys.jid, owner.keys.device, make_bundle(owner.keys))
    first = board.seal([owner.keys.jid], "hello")
    owner.open(board.keys.jid, first)
    return first


def answer(board, owner):
    """The owner sends the ping that is due, if one is; whether it was."""
    ping = owner.next_ping()
    if ping:
        board.open(owner.keys.jid, ping[1])
    return ping is not None


def pair(store=None, **limits):
    """(board, owner) with a session that the owner has answered. store, limits: those of the board."""
    board, owner = device(BOARD, store, **limits), device(OWNER, lease=1)
    start(board, owner)
    answer(board, owner)
    return board, owner
