"""The errors of Motemo: the type says whose fault it was, the reason says what.

`LocalError`: we were misused. `RemoteError`: what came from outside is wrong. `StateError`: the store
or a session forbids it. The reason is one of `REASONS`; its index there travels over the link as one byte,
and the host turns it into a sentence that says what to do. No error carries a secret.
"""

# Append only: the index is the code on the link.
REASONS = (
    "unknown",
    "length",  # a value has the wrong length
    "format",  # bytes that are not what they should be
    "too-large",  # a limit of the profile was exceeded
    "weak-key",  # an all-zero shared secret or a point of small order
    "bad-point",  # not a point of the curve
    "bad-signature",
    "bad-tag",  # there is a session and the MAC is wrong (O-147)
    "no-session",  # an ordinary message without a session (O-121)
    "no-prekey",  # a key exchange names none, or one that is gone
    "duplicate",  # decrypted before (O-122)
    "skip-limit",  # the counter is too far ahead (O-022)
    "not-for-us",  # no key for this device in the message (O-091)
    "untrusted",  # the device is not pinned (O-140)
    "no-devices",  # nobody to encrypt for
    "envelope",  # the decrypted envelope breaks XEP-0420
    "full",  # a table or the flash has no room
    "corrupt",  # the store cannot be read
    "not-provisioned",
    "provisioned",  # already, as somebody else
    "offline",
    "refused",  # the server or the peer said no
    "not-found",
    "timeout",
    "protocol",  # a message that does not fit the state of the link
    "command",  # words that are not a command
    "random",  # no source of secure randomness
    "key-gone",  # decrypted before, or its skipped key was dropped (O-023)
    "payload",  # the ratchet message is right, the payload's tag is not (O-044)
    "memory",  # the heap was too small
    "rate-limit",  # too many key exchanges that came to nothing
    "opt-out",  # the account asked for plain text, which we never send (O-103)
)


class MotemoError(Exception):
    """Base of all: `reason` is one of `REASONS`, `text` a detail without secrets."""

    def __init__(self, reason: str, text: str = ""):
        super().__init__(reason, text)
        self.reason = reason
        self.text = text

    def __str__(self) -> str:
        return self.reason + ": " + self.text if self.text else self.reason


class LocalError(MotemoError):
    """We were misused: a programming or configuration mistake on this side."""


class RemoteError(MotemoError):
    """A peer, the server or the network sent something that is wrong."""


class StateError(MotemoError):
    """The store or the session forbids it now."""
