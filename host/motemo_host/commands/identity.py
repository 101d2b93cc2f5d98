"""`motemo identity`: the fingerprint of a collector's identity."""

from ..collector import open_identity
from ..fingerprint import grouped, qr_text, uri
from ..home import locked
from ..stanzas import bare_jid
from .common import Common


def identity(*, jid: str, common: Common | None = None) -> None:
    """Show the fingerprint of an account's identity on this machine; it is made when there is none.

    Parameters
    ----------
    jid
        The account's address.
    """
    common = common or Common()
    jid = bare_jid(jid)
    folder = common.open_home().identity(jid)
    with locked(folder, f"the identity of {jid}"):
        own = open_identity(folder, jid).keys
    address = uri(jid, own.device, own.fingerprint)
    document = {"jid": jid, "device": own.device, "fingerprint": own.fingerprint.hex(), "uri": address}
    common.show(document, f"{jid}, device {own.device}\n{grouped(own.fingerprint)}\n{address}\n{qr_text(address)}")
