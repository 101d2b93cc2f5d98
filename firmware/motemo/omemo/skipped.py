"""The skipped message keys of a session (XEP-0384 section "Double Ratchet"): few messages need them."""

import struct


class Skipped:
    """The skipped message keys of one session, oldest first, at most `limit` (O-021, O-023).

    They go when they are used, when newer ones need the room, and when their ratchet key is more than eight DH steps
    back: a rule of events, not of time (O-024, O-025). Record: for each ratchet key its 32 bytes, a count (2 bytes),
    and that many counters (4 bytes) with keys (32 bytes).
    """

    def __init__(self, record, limit):
        self.limit = limit
        self.changed = False
        self._chains = []  # [ratchet key, bytearray of counters and keys]
        at = 0
        while record and at < len(record):
            end = at + 34 + 36 * struct.unpack_from("<H", record, at + 32)[0]
            self._chains.append([record[at : at + 32], bytearray(record[at + 34 : end])])
            at = end

    def __len__(self):
        return sum(len(entries) for _, entries in self._chains) // 36

    def record(self) -> bytes:
        """The record for the store; empty when there are no keys."""
        out = bytearray()
        for dh, entries in self._chains:
            out.extend(dh)
            out.extend(struct.pack("<H", len(entries) // 36))
            out.extend(entries)
        return bytes(out)

    def find(self, dh, n):
        """The message key with that ratchet key and counter, or None."""
        entries, at = self._locate(dh, n)
        return bytes(entries[at + 4 : at + 36]) if entries else None

    def remove(self, dh, n):
        """Forgets a key that was used."""
        entries, at = self._locate(dh, n)
        entries[at:] = entries[at + 36 :]
        self._chains = [chain for chain in self._chains if chain[1]]
        self.changed = True

    def add(self, dh, end, keys, count) -> bool:
        """Keeps `keys`, the last ones of `count` keys that end before counter `end`; False when some were dropped."""
        kept = len(keys) // 32
        if not kept:
            return not count
        entries = bytearray()
        for i in range(kept):
            entries.extend(struct.pack("<I", end - kept + i))
            entries.extend(keys[32 * i : 32 * i + 32])
        self.changed = True
        if self._chains and self._chains[-1][0] == dh:
            self._chains[-1][1].extend(entries)
        else:
            self._chains.append([dh, entries])
        surplus = len(self) - self.limit
        whole = kept == count and surplus <= 0
        while surplus > 0:
            oldest = self._chains[0][1]
            gone = min(surplus, len(oldest) // 36)
            oldest[:] = oldest[36 * gone :]
            surplus -= gone
            self._chains = [chain for chain in self._chains if chain[1]]
        return whole

    def retire(self, is_current):
        """Drops the keys of ratchet keys that are no longer current."""
        kept = [chain for chain in self._chains if is_current(chain[0])]
        if len(kept) != len(self._chains):
            self._chains = kept
            self.changed = True

    def _locate(self, dh, n):
        counter = struct.pack("<I", n)
        for chain, entries in self._chains:
            if chain == dh:
                for at in range(0, len(entries), 36):
                    if entries[at : at + 4] == counter:
                        return entries, at
        return None, 0
