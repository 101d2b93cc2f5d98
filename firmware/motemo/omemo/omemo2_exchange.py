"""The framing of omemo:2 key exchanges (XEP-0384, "Protobuf schema"), for `dialects.OMEMO2`. Seldom needed."""

from motemo.errors import RemoteError
from motemo.omemo import wire


def encode_exchange(prekey_id, signed_prekey_id, identity_key, ephemeral, sealed):
    """An OMEMOKeyExchange."""
    return wire.encode((1, prekey_id), (2, signed_prekey_id), (3, identity_key), (4, ephemeral), (5, sealed))


def decode_exchange(data):
    """(prekey id, signed prekey id, identity key, ephemeral key, sealed) of an OMEMOKeyExchange.

    Raises RemoteError "no-prekey" when it names no prekey (O-007) and "format" for an id out of range (O-069).
    """
    fields = wire.decode(data, ((2, 0), (3, 32), (4, 32), (5, -1)), ((1, 0),))
    if not fields.get(1):
        raise RemoteError("no-prekey", "the key exchange names none")
    if fields[1] > 0x7FFFFFFF or not 0 < fields[2] <= 0x7FFFFFFF:
        raise RemoteError("format", "prekey id")
    return fields[1], fields[2], fields[3], fields[4], fields[5]
