"""A store in memory for tests of the engine, with the journal's interface; runs on every interpreter."""


class MemoryStore:
    """Keeps records in a dict. commits: how many batches there were. `fail` makes the next commit raise it."""

    def __init__(self):
        self._records = {}
        self.commits = 0
        self.fail = None

    def get(self, kind, key):
        return self._records.get((kind, key))

    def keys(self, kind):
        return [key for one, key in self._records if one == kind]

    def commit(self, changes):
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        self.commits += 1
        for kind, key, payload in changes:
            if payload is None:
                self._records.pop((kind, key), None)
            else:
                self._records[kind, key] = bytes(payload)

    def copy(self):
        """What a power cut leaves: the committed records, in a store of their own."""
        other = MemoryStore()
        other._records = dict(self._records)
        return other
