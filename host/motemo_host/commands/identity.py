"""`motemo identity`: the fingerprint of a collector's identity."""

import asyncio
from typing import Any

from motemo.omemo.engine import Engine

from .. import local
from ..collector import open_identity
from ..fingerprint import grouped, qr_text, trust_uri, uri
from ..home import Home, locked, parse_address
from .common import Common


def identity(*, jid: str, common: Common | None = None) -> None:
    """Show the fingerprint of an account's identity on this machine; it is made when there is none.

    Parameters
    ----------
    jid
        The account's address.
    """
    common = common or Common()
    document = asyncio.run(_look_up(common.open_home(), parse_address(jid)))
    fingerprint, address = grouped(bytes.fromhex(document["fingerprint"])), document["uri"]
    common.show(
        document,
        f"{document['jid']}, device {document['device']}\n{fingerprint}\n"
        f"{address}\n{document['trust_uri']}\n{qr_text(address)}",
    )


async def _look_up(home: Home, jid: str) -> dict[str, Any]:
    folder = home.identity(jid)
    document = await local.ask(folder, "identity")
    if document is None:
        with locked(folder, f"the identity of {jid}"):
            document = identity_document(open_identity(folder, jid))
    return document


def identity_document(engine: Engine) -> dict[str, Any]:
    """What names an identity."""
    own = engine.keys
    fingerprint = own.fingerprint
    return {
        "jid": own.jid,
        "device": own.device,
        "fingerprint": fingerprint.hex(),
        "uri": uri(own.jid, {own.device: fingerprint}),
        "trust_uri": trust_uri(own.jid, [fingerprint]),
    }
