"""Upkeep of keys and sessions: pure policy over counters, without a clock (design section 4). Seldom needed.

- The signed prekey is replaced when the caller says that it is due; the former one is kept for one period (O-002,
  O-003).
- A prekey that is used during a catch-up is kept until its end (O-124), but one key exchange is taken once.
- A device that answers nothing is *stale* after `Profile.stale` messages; from then on it gets one reading of eight,
  and all answers. Before 900 its session is made anew from a fresh bundle, as receivers end it for good at a gap above
  1000; without a usable bundle the device is left out. Whatever it sends ends all that.

What an owner should know about devices goes to `Engine.notices`.
"""

from motemo import overlay
from motemo.errors import RemoteError
from motemo.omemo import keys, ratchet, records, trust
from motemo.omemo.records import device_key

_MOST_USES = 4  # of one prekey during a catch-up
_MOST_UNLISTED = 16


def rotate(own, also=()):
    """Replaces the signed prekey, in one commit with the changes `also`; the bundle is due then. own: the `Keys`.

    The former one stays for key exchanges that are on their way; what came before that goes.
    """
    former = own.newest_signed_prekey
    flags = own.flags | keys.BUNDLE_DIRTY
    seed = own.store.get(records.IDENTITY, b"")[:32]
    changes = list(also)
    for key in own.store.keys(records.SIGNED_PREKEY):
        if key != records.id_key(former):
            changes.append((records.SIGNED_PREKEY, key, None))
    changes.append(overlay.call("motemo.omemo.identity", "signed_prekey", seed, former + 1))
    changes.append(keys.counters_record(own.next_prekey, former + 1, flags))
    own.store.commit(changes)
    own.newest_signed_prekey = former + 1
    own.flags = flags


def use_prekey(engine, number, ephemeral):
    """The changes after a key exchange that used a prekey: another takes its place (O-092, O-094).

    ephemeral: the key exchange's own key. Raises RemoteError "key-gone" when that one was taken before, "no-prekey"
    when too many have used the prekey.
    """
    key = records.id_key(number)
    record = engine.store.get(records.PREKEY, key)
    if record is not None and not engine.catching_up:
        return [(records.PREKEY, key, None)] + engine.keys.replacement()
    changes = []
    kept = sorted(engine.store.keys(records.USED_PREKEY))
    if record is not None:
        changes = [(records.PREKEY, key, None)] + engine.keys.replacement()
        changes += [(records.USED_PREKEY, one, None) for one in kept[: max(0, len(kept) + 1 - engine.profile.used)]]
        if not engine.profile.used:
            return changes
    else:
        record = engine.store.get(records.USED_PREKEY, key)
        uses = [record[at : at + 32] for at in range(64, len(record), 32)]
        if ephemeral in uses:
            raise RemoteError("key-gone", "the key exchange was taken before")
        if len(uses) >= _MOST_USES:
            raise RemoteError("no-prekey", "too many have used it")
    return changes + [(records.USED_PREKEY, key, record + ephemeral)]


def end_catch_up(engine):
    """The catch-up has ended: used prekeys go, and what was put off is due."""
    engine.catching_up = False
    used = engine.store.keys(records.USED_PREKEY)
    if used:
        engine.store.commit([(records.USED_PREKEY, key, None) for key in used])


def leave_out(engine, key):
    """Notes once that a device gets nothing until it answers."""
    session = engine.session(key)
    session.flags |= ratchet.LEFT_OUT
    engine.keep(key, session, [])
    engine.notices.append((key, "left out: " + engine.unusable.get(key, "no-session")))


def unlisted(engine, jid, device):
    """Asks for the lists of a device's account, once for each device that is on neither (O-128)."""
    key = device_key(jid, device)
    if key in engine.unlisted or not trust.pins(engine.store, jid):
        return
    if len(engine.unlisted) >= _MOST_UNLISTED:
        engine.unlisted.pop(0)
    engine.unlisted.append(key)
    engine.want_devices(jid)


def stale(store):
    """How many devices are stale."""
    return sum(
        ratchet.restore(store.get(records.SESSION, key)).is_set(ratchet.STALE) for key in store.keys(records.SESSION)
    )
