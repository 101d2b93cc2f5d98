"""The portable code against the libraries: the same outputs and the same verdicts, on random and on hostile input.

CPython only. `curve` and `ed25519` run on the libraries here; with the backend exchanged, on what a board has.
"""

import hashlib
import hmac
import json
import os
import sys
from pathlib import Path

import nacl.bindings
import pytest
import xeddsa as peer
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import example, given, settings
from hypothesis import strategies as st

from motemo.crypto import (
    _native,
    _portable,
    _portable_comb,
    _portable_gcm,
    _portable_sign,
    _portable_verify,
    cipher,
    curve,
    ed25519,
    gcm,
    kdf,
    points,
    sha512,
    xeddsa,
)
from motemo.errors import LocalError, RemoteError
from tests.covers import covers
from tests.unit import test_cipher, test_curve, test_ed25519, test_gcm, test_xeddsa
from tests.wasm_shim import cryptolib

P, L, D = _portable.P, points.L, points.D
VECTORS = Path(os.environ.get("MOTEMO_VECTORS") or Path(__file__).resolve().parents[3] / "shared" / "vectors")

keys = st.binary(min_size=32, max_size=32)
# Numbers that sit next to the edges of the field and of the group, and next to what the code treats apart.
edges = st.sampled_from([0, 1, 2, 8, 19, L, 2 * L, 8 * L, P, P + 19, 2**252, 2**254, 2**255, 2**256])
edge_keys = st.builds(
    lambda near, by: ((near + by) % 2**256).to_bytes(32, "little"), edges, st.integers(min_value=-20, max_value=20)
)
any_key = keys | edge_keys


def verdict(function, *args):
    """The result, or the reason for which the peer's input was refused."""
    try:
        return function(*args)
    except RemoteError as error:
        return error.reason


def use_portable_backend(patch):
    patch.setattr(curve, "backend", _portable)
    patch.setattr(curve, "_PUBLIC", "motemo.crypto._portable_comb")
    patch.setattr(ed25519, "_SIGN", "motemo.crypto._portable_sign")
    patch.setattr(ed25519, "_VERIFY", "motemo.crypto._portable_verify")


def on_both(monkeypatch, function, *args):
    """The verdict of a function of `curve` or `ed25519`, which has to be the same with the portable backend."""
    native = verdict(function, *args)
    with monkeypatch.context() as patch:
        use_portable_backend(patch)
        assert verdict(function, *args) == native
    return native


def wycheproof(name):
    """The cases of one file, each with its group's values; skips where the files are not there."""
    path = VECTORS / "wycheproof" / f"{name}_test.json"
    if not path.is_file():
        pytest.skip(f"no Wycheproof vectors at {path}: set MOTEMO_VECTORS")
    return [group | case for group in json.loads(path.read_text("utf-8"))["testGroups"] for case in group["tests"]]


def case_bytes(case, *names):
    return [bytes.fromhex(case[name]) for name in names]


# The plain tests once more, on what a board computes with.


def cases_of(module):
    return [
        pytest.param(test, id=name)
        for name, test in vars(module).items()
        if name.startswith("test_") and not name.startswith("test_slow")
    ]


@pytest.mark.parametrize("test", cases_of(test_curve) + cases_of(test_ed25519) + cases_of(test_xeddsa))
def test_with_the_portable_backend(monkeypatch, test):
    use_portable_backend(monkeypatch)
    test()


@pytest.mark.parametrize("test", cases_of(test_cipher))
def test_with_the_aes_of_the_tests(monkeypatch, test):
    monkeypatch.setattr(cipher, "aes", cryptolib.aes)
    test()


@pytest.mark.parametrize("test", cases_of(test_gcm))
def test_with_the_portable_gcm(monkeypatch, test):
    monkeypatch.setattr(gcm, "backend", _portable_gcm)
    test()


# Agreement.


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=16, max_size=16), st.sampled_from([12, 16]), st.binary(max_size=600), st.binary(max_size=40))
def test_gcm_agrees(key, length, plaintext, more):
    iv = bytes(range(length - 4)) + b"\xff\xff\xff\xff"
    sealed = _native.gcm_encrypt(key, iv, plaintext, more)
    assert _portable_gcm.gcm_encrypt(key, iv, plaintext, more) == sealed
    assert _portable_gcm.gcm_decrypt(key, iv, *sealed, more) == plaintext


@settings(max_examples=100, deadline=None)
@given(keys, st.binary(max_size=80))
@covers("O-009", "O-011")
def test_xeddsa_of_the_xeddsa_package_verifies(private, message):
    private = _portable.clamp(private).to_bytes(32, "little")  # as Curve25519 private keys are kept
    edwards = peer.priv_to_ed25519_pub(private)
    signature = bytearray(peer.ed25519_priv_sign(private, message, bytes(64)))
    signature[63] |= edwards[31] & 128
    public = peer.ed25519_pub_to_curve25519_pub(edwards)
    assert public == points.edwards_to_montgomery(edwards)
    assert xeddsa.montgomery_to_edwards(public, edwards[31] >> 7) == edwards
    xeddsa.xeddsa_verify(public, message, bytes(signature))
    signature[63] ^= 128
    assert verdict(xeddsa.xeddsa_verify, public, message, bytes(signature)) == "bad-signature"


@settings(max_examples=300, deadline=None)
@given(any_key, any_key)
def test_x25519_agrees(scalar, u):
    assert _portable.x25519(scalar, u) == _native.x25519(scalar, u)


@settings(max_examples=300, deadline=None)
@given(any_key)
def test_public_keys_agree(key):
    assert _portable_comb.x25519_public(key) == _native.x25519_public(key)
    assert _portable_sign.ed25519_public(key) == _native.ed25519_public(key)


@settings(max_examples=150, deadline=None)
@given(any_key, st.binary(max_size=300))
@covers("O-011", "O-012")
def test_signatures_agree(seed, message):
    signature = _portable_sign.ed25519_sign(seed, message)
    public = _portable_sign.ed25519_public(seed)
    assert signature == _native.ed25519_sign(seed, message)
    assert _portable_verify.ed25519_verify(public, message, signature)
    assert _native.ed25519_verify(public, message, signature)
    assert nacl.bindings.crypto_sign_open(signature + message, public) == message


@settings(max_examples=200, deadline=None)
@given(any_key, st.binary(max_size=32), st.integers(min_value=0, max_value=511))
def test_verdicts_on_changed_signatures_agree(seed, message, bit):
    public = _native.ed25519_public(seed)
    signature = int.from_bytes(_native.ed25519_sign(seed, message), "little") ^ 1 << bit
    changed = signature.to_bytes(64, "little")
    assert not _portable_verify.ed25519_verify(public, message, changed)
    assert verdict(ed25519.ed25519_verify, public, message, changed) == "bad-signature"


@settings(max_examples=300, deadline=None)
@given(any_key)
@example((1).to_bytes(32, "little"))
@covers("O-009")
def test_map_agrees_with_libsodium(public):
    try:
        expected = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(public)
    except nacl.exceptions.CryptoError:
        # libsodium refuses points outside the main subgroup too, and takes what is not canonical.
        return
    if int.from_bytes(public, "little") % 2**255 < P:
        assert points.edwards_to_montgomery(public) == expected
    else:
        assert verdict(points.edwards_to_montgomery, public) == "bad-point"


@settings(max_examples=100, deadline=None)
@given(keys)
@covers("O-009", "O-010")
def test_identity_key_maps_as_in_libsodium(seed):
    public, secret = nacl.bindings.crypto_sign_seed_keypair(seed)
    scalar = nacl.bindings.crypto_sign_ed25519_sk_to_curve25519(secret)
    assert ed25519.identity_scalar(seed) == scalar
    assert points.edwards_to_montgomery(public) == nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(public)
    assert points.edwards_to_montgomery(public) == curve.x25519_public(scalar)


# Keys with a component of small order: s B = R + k A then holds for some messages only.


def affine_sum(a, b):
    x1, y1 = a
    x2, y2 = b
    k = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def decode(public):
    number = int.from_bytes(public, "little")
    y = number % 2**255
    x = _portable_verify._recover_x(y)
    return (P - x if x & 1 != number >> 255 else x), y


def encode(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_verdicts_on_keys_of_mixed_order_agree(monkeypatch):
    seed = bytes(range(32))
    a = int.from_bytes(ed25519.identity_scalar(seed), "little")
    order_8 = decode(test_ed25519.SMALL_ORDER_Y[3].to_bytes(32, "little"))
    mixed = encode(affine_sum(decode(ed25519.ed25519_public(seed)), order_8))
    # X25519's private keys are multiples of 8, so that the component does nothing.
    shared = curve.x25519(b"k" * 32, points.edwards_to_montgomery(ed25519.ed25519_public(seed)))
    assert on_both(monkeypatch, curve.x25519, b"k" * 32, points.edwards_to_montgomery(mixed)) == shared
    r = int.from_bytes(ed25519.identity_scalar(b"r" * 32), "little")
    point = ed25519.ed25519_public(b"r" * 32)
    verdicts = set()
    for number in range(40):
        message = bytes((number,))
        k = int.from_bytes(hashlib.sha512(point + mixed + message).digest(), "little") % L
        signature = point + ((r + k * a) % L).to_bytes(32, "little")
        found = on_both(monkeypatch, ed25519.ed25519_verify, mixed, message, signature)
        assert found == (None if k % 8 == 0 else "bad-signature")
        verdicts.add(found)
    assert len(verdicts) == 2


def test_comb_table():
    base = decode(b"\x58" + b"\x66" * 31)
    teeth = [base]
    for _ in range(3):
        point = teeth[-1]
        for _ in range(64):
            point = affine_sum(point, point)
        teeth.append(point)
    for index in range(8):
        x, y = teeth[3]
        for bit in range(3):
            tooth_x, tooth_y = teeth[bit]
            x, y = affine_sum((x, y), (tooth_x if index >> bit & 1 else P - tooth_x, tooth_y))
        assert _portable_comb._split(_portable_comb._comb_entry(index)) == (
            (y + x) % P,
            (y - x) % P,
            2 * D * x * y % P,
        )


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_sha512_agrees(parts):
    assert sha512.sha512(*parts) == _native.sha512(*parts) == hashlib.sha512(b"".join(parts)).digest()


@given(st.binary(max_size=200), st.lists(st.binary(max_size=100), max_size=4))
def test_hmac_agrees(key, parts):
    assert kdf.hmac_sha256(key, *parts) == hmac.digest(key, b"".join(parts), "sha256")


@given(st.binary(max_size=100), st.binary(max_size=100), st.binary(max_size=100), st.integers(1, 400))
def test_hkdf_agrees(ikm, salt, info, length):
    assert kdf.hkdf_sha256(ikm, salt, info, length) == HKDF(SHA256(), length, salt, info).derive(ikm)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_equal_is_equality(a, b):
    assert kdf.equal(a, b) == (a == b)
    assert kdf.equal(a, bytes(a))


@settings(deadline=None)
@given(keys, st.binary(min_size=16, max_size=16), st.binary(max_size=100))
def test_aes_of_the_tests_agrees(key, iv, plaintext):
    ciphertext = cipher.cbc_encrypt(key, iv, plaintext)
    assert cryptolib.aes(key, 2, iv).decrypt(ciphertext)[: len(plaintext)] == plaintext
    assert cipher.cbc_decrypt(key, iv, ciphertext) == plaintext


@settings(max_examples=300)
@given(st.binary(max_size=100))
def test_any_ciphertext_gives_a_plaintext_or_a_remote_error(ciphertext):
    assert isinstance(verdict(cipher.cbc_decrypt, bytes(32), bytes(16), ciphertext), (bytes, str))


@settings(max_examples=200)
@given(st.binary(max_size=40) | any_key, st.binary(max_size=70) | st.binary(min_size=64, max_size=64))
def test_any_key_and_signature_give_a_result_or_a_remote_error(public, signature):
    verdict(curve.x25519, bytes(32), public)
    verdict(points.edwards_to_montgomery, public)
    assert verdict(ed25519.ed25519_verify, public, b"", signature) in ("length", "bad-signature")


# Project Wycheproof. `acceptable` of X25519 are points of the twist, coordinates that are not canonical and points of
# small order: RFC 7748 wants the first two computed, and we refuse what comes out as zero.


@covers("O-013")
def test_wycheproof_x25519(monkeypatch):
    for case in wycheproof("x25519"):
        private, public, shared = case_bytes(case, "private", "public", "shared")
        expected = shared if any(shared) else "weak-key"
        assert on_both(monkeypatch, curve.x25519, private, public) == expected, case["tcId"]


def test_wycheproof_ed25519(monkeypatch):
    for case in wycheproof("ed25519"):
        message, signature = case_bytes(case, "msg", "sig")
        public = bytes.fromhex(case["publicKey"]["pk"])
        found = on_both(monkeypatch, ed25519.ed25519_verify, public, message, signature)
        expected = None if case["result"] == "valid" else "bad-signature" if len(signature) == 64 else "length"
        assert found == expected, case["tcId"]


def test_wycheproof_hmac_sha256():
    for case in wycheproof("hmac_sha256"):
        key, message, tag = case_bytes(case, "key", "msg", "tag")
        found = kdf.equal(kdf.hmac_sha256(key, message)[: case["tagSize"] // 8], tag)
        assert found == (case["result"] == "valid"), case["tcId"]


def test_wycheproof_hkdf_sha256():
    for case in wycheproof("hkdf_sha256"):
        ikm, salt, info, okm = case_bytes(case, "ikm", "salt", "info", "okm")
        if case["result"] == "valid":
            assert kdf.hkdf_sha256(ikm, salt, info, case["size"]) == okm, case["tcId"]
        else:
            with pytest.raises(LocalError, match="length"):
                kdf.hkdf_sha256(ikm, salt, info, case["size"])


@pytest.mark.parametrize("aes", [_native.aes, cryptolib.aes])
def test_wycheproof_aes_256_cbc(monkeypatch, aes):
    monkeypatch.setattr(cipher, "aes", aes)
    for case in wycheproof("aes_cbc_pkcs5"):
        key, iv, message, ciphertext = case_bytes(case, "key", "iv", "msg", "ct")
        if len(key) != 32:
            continue
        if case["result"] == "valid":
            assert cipher.cbc_encrypt(key, iv, message) == ciphertext, case["tcId"]
            assert cipher.cbc_decrypt(key, iv, ciphertext) == message, case["tcId"]
        else:
            refused = "length" if "NoPadding" in case["flags"] and not ciphertext else "format"
            assert verdict(cipher.cbc_decrypt, key, iv, ciphertext) == refused, case["tcId"]


@pytest.mark.parametrize("backend", [_native, _portable_gcm])
def test_wycheproof_aes_128_gcm(monkeypatch, backend):
    monkeypatch.setattr(gcm, "backend", backend)
    tried = 0
    for case in wycheproof("aes_gcm"):
        key, iv, more, message, ciphertext, tag = case_bytes(case, "key", "iv", "aad", "msg", "ct", "tag")
        if len(key) != 16 or len(iv) not in (12, 16):
            continue
        tried += 1
        if case["result"] == "valid":
            assert gcm.gcm_encrypt(key, iv, message, more) == (ciphertext, tag), case["tcId"]
            assert gcm.gcm_decrypt(key, iv, ciphertext, tag, more) == message, case["tcId"]
        else:
            assert verdict(gcm.gcm_decrypt, key, iv, ciphertext, tag, more) == "payload", case["tcId"]
    assert tried > 60


def test_the_libraries_compute_here():
    assert sys.implementation.name == "cpython"
    assert curve.backend is _native
    assert {curve._PUBLIC, ed25519._SIGN, ed25519._VERIFY} == {"motemo.crypto._native"}
    assert cipher.aes is _native.aes
    assert gcm.backend is _native
