"""X3DH: a secret computed with pyca/cryptography, both sides, and keys that are refused."""

from hashlib import sha256

from motemo.crypto.curve import x25519_public
from motemo.errors import RemoteError
from motemo.omemo import x3dh
from motemo.omemo.dialects import OMEMO2
from tests.covers import covers
from tests.raises import raises

# HKDF-SHA-256 of 32 bytes 0xFF and the four agreements, zero salt, info "OMEMO X3DH", by cryptography 43's primitives.
SECRET = bytes.fromhex("dfc31f1a28f50d93f63e0751c6775199ba4eeb030df6853e4463465237659b7a")


def private(name):
    return sha256(b"x3dh " + name).digest()


IK_A, EK_A, IK_B, SPK_B, OPK_B = [private(name) for name in (b"IKa", b"EKa", b"IKb", b"SPKb", b"OPKb")]
PUBLIC = [x25519_public(key) for key in (IK_A, EK_A, IK_B, SPK_B, OPK_B)]


@covers("O-001", "O-010", "O-013")
def test_both_sides_have_the_secret():
    ik_a, ek_a, ik_b, spk_b, opk_b = PUBLIC
    assert x3dh.initiate(OMEMO2, IK_A, EK_A, ik_b, spk_b, opk_b) == SECRET
    assert x3dh.respond(OMEMO2, IK_B, SPK_B, OPK_B, ik_a, ek_a) == SECRET


@covers("O-006")
def test_every_key_takes_part():
    other = x25519_public(private(b"other"))
    ik_a, ek_a, ik_b, spk_b, opk_b = PUBLIC
    secrets = [SECRET]
    for theirs in ((other, spk_b, opk_b), (ik_b, other, opk_b), (ik_b, spk_b, other)):
        secrets.append(x3dh.initiate(OMEMO2, IK_A, EK_A, theirs[0], theirs[1], theirs[2]))
    secrets.append(x3dh.initiate(OMEMO2, private(b"other"), EK_A, ik_b, spk_b, opk_b))
    secrets.append(x3dh.initiate(OMEMO2, IK_A, private(b"other"), ik_b, spk_b, opk_b))
    assert len(set(secrets)) == 6


def test_points_of_small_order_are_refused():
    ik_a, ek_a, ik_b, spk_b, opk_b = PUBLIC
    for weak in (bytes(32), b"\x01" + bytes(31), (2**255 - 20).to_bytes(32, "little")):
        for theirs in ((weak, spk_b, opk_b), (ik_b, weak, opk_b), (ik_b, spk_b, weak)):
            raises(RemoteError, "weak-key", x3dh.initiate, OMEMO2, IK_A, EK_A, theirs[0], theirs[1], theirs[2])
        raises(RemoteError, "weak-key", x3dh.respond, OMEMO2, IK_B, SPK_B, OPK_B, weak, ek_a)
        raises(RemoteError, "weak-key", x3dh.respond, OMEMO2, IK_B, SPK_B, OPK_B, ik_a, weak)
