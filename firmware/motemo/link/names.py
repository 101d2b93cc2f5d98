"""The compact names of the link: one table of small integers for fields, message types and operations.

A name's number is its place in `_FIELDS`, so new names go to the end. What is asked for most has numbers below 24,
which CBOR writes in one byte. docs/link-protocol.md has the same table for people, and a test compares them.
"""

# name:kind of value. Kinds: u unsigned of 32 bits, i id of 1..2^31-1, d dialect, f true or false, b bytes, k key of
# 32 bytes, s signature of 64 bytes, t text, j JID, n name out of this table, l list of ids, p packed prekeys,
# h list of keys, r list of texts, y keys of a message, m map of texts to anything, z map of the legacy form,
# - no field.
# One string, searched: as a tuple it would cost three times the heap.
_FIELDS = (
    " type:n id:u to:j from:j dialect:d sid:i keys:y payload:b iv:b kex:f data:b stamp:u jid:j rid:i code:u text:t op:n"
    " fields:m message:- request:- result:- log:- level:u state:f fetch-devices:- devices:l others:u fetch-bundle:-"
    " bundle:- publish-bundle:- publish-devices:- device:i label:t labelsig:s ik:k spk_id:u spk:k spks:s prekeys:p"
    " pk_id:u pk:k online:- time:- now:u status:- provision:- pin:- finish:- wipe:- fingerprints:h mode:t interval:u"
    " count:u list-pins:- add-pins:- remove-pins:- how:t force:f legacy:z list-sessions:- reset-sessions:- retire:-"
    " catch-up:- room:t members:r enter-room:- group:f "
)

# What each type of message has, in the order of the numbers: `?` may be missing, `*` and any other field.
# A message to the board has a shape of its own, `message<`.
_TYPES = (
    "|message id to dialect? sid keys payload? iv? legacy? group?"
    "|message< id from dialect? sid payload? iv? kex? data stamp? group?"
    "|fetch-devices id dialect? jid"
    "|devices id? dialect? jid devices others"
    "|fetch-bundle id dialect? jid rid"
    "|bundle id dialect? jid rid ik spk_id spk spks pk_id pk"
    "|publish-bundle id ik spk_id spk spks prekeys legacy?"
    "|publish-devices id device label? labelsig?"
    "|enter-room id room text members"
    "|room id? room code? text? members others"
    "|request id op *"
    "|result id code? text? fields? *"
    "|log text level"
    "|online jid state"
    "|time now"
    "|catch-up state|"
)


def number(name):
    """Return the number of `name`, or -1 if it has none."""
    at = _FIELDS.find(" " + name + ":") if type(name) is str else -1
    return _FIELDS.count(" ", 0, at) if at >= 0 else -1


def entry(number):
    """Return (name, kind) of `number`, or None if it has none."""
    start = 0
    while number and start >= 0:
        start = _FIELDS.find(" ", start + 1)
        number -= 1
    end = _FIELDS.find(":", start)
    return (_FIELDS[start + 1 : end], _FIELDS[end + 1]) if 0 <= start < end else None


def fields(name, to_board):
    """Return the fields of the message type `name` as in `_TYPES`, or None if there is no such type."""
    start = _TYPES.find("|" + name + ("< " if to_board and name == "message" else " "))
    return _TYPES[start : _TYPES.find("|", start + 1)].split(" ")[1:] if start >= 0 else None
