"""The limits of a device: what its heap and its flash allow (design section 4)."""


class Profile:
    """Limits that the engine, the store and the agent obey; `boards/NAME/board.toml` sets them.

    sessions: sessions kept. cached: those of them held in memory. skipped: skipped message keys kept for each session
    (O-021). max_skip: keys that one message may skip (O-022). prekeys: prekeys offered, 25 to 100 (O-004, O-005).
    lease: messages that the stored sending chain stands ahead (design section 6).
    devices: devices for each message, a room's among them. body: bytes of decrypted content accepted.
    outbox: readings kept while nobody takes them. padding: most random characters of `rpad` (S-01: at most 200).
    rotation: days until the signed prekey is replaced (O-002). used: used prekeys kept during a catch-up (O-124).
    stale: messages to a device without an answer until it counts as stale.

    `motemo.limits` says which values a board may have.
    """

    def __init__(self, **limits: int):
        self.sessions = 16
        self.cached = 2
        self.skipped = 40
        self.max_skip = 200
        self.prekeys = 32
        self.lease = 8
        self.devices = 12
        self.body = 2048
        self.outbox = 32
        self.padding = 12
        self.rotation = 7
        self.used = 16
        self.stale = 200
        for name, value in limits.items():
            if not hasattr(self, name):
                raise ValueError("unknown limit " + name)
            setattr(self, name, value)


def host_profile() -> Profile:
    """The limits of a collector on CPython."""
    return Profile(
        sessions=10000,
        cached=1000,
        skipped=1000,
        max_skip=1000,
        prekeys=100,
        lease=1,
        devices=64,
        body=65536,
        padding=200,
        used=100,
    )
