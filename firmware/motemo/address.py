"""Addresses that come from outside."""

from motemo.errors import LocalError


def check(jid):
    """Raises LocalError "format" when that is no bare JID of an account, or too long to be kept."""
    local, at, domain = jid.partition("@")
    # 251 bytes: a record's key has the device id before it.
    if not local or not at or not domain or "/" in domain or "@" in domain or len(jid.encode()) > 251:
        raise LocalError("format", "bare JID")
