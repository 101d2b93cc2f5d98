"""SHA-512 as boards compute it: FIPS 180-4's examples, lengths round the borders of blocks, parts."""

from motemo.crypto.sha512 import sha512

_HEX = bytes.fromhex
_DATA = bytes([7 * i & 255 for i in range(300)])


def test_empty():
    assert sha512(b"") == _HEX(
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    )


def test_one_block():
    assert sha512(b"abc") == _HEX(
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
    )


def test_two_blocks():
    message = (
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrst"
    )
    assert sha512(message + b"nopqrstu") == _HEX(
        "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
        "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
    )


def test_borders_of_blocks():
    # The lengths at which padding needs one more block, and whole blocks; computed with CPython's hashlib.
    for length, start in (
        (111, "d2026b9857418e96d800f55017d1c156"),
        (112, "4dc754b8985c03b8015b1efd61af5c05"),
        (113, "2cf29eb6c61dfaf9d1b0c668f157bc1b"),
        (127, "78de13cc28717e3ee7a3cb21b2ecac6d"),
        (128, "6e7f10bc87eacc3e98014eaade39e273"),
        (129, "cdc5b3e2f22ed03935760389c88672f8"),
        (239, "d29cefaac62d3e8acd367abe0804c702"),
        (240, "44f1b40dcf17562fc7119b65ea160358"),
        (255, "cca5916a9770c125f68452214ffea276"),
        (256, "ca6e7d0c2e4ae8774b65b1353a44154f"),
    ):
        assert sha512(_DATA[:length])[:16] == _HEX(start), length


def test_every_length_to_300():
    # The hash of the hashes of all the beginnings; computed with CPython's hashlib.
    hashes = b"".join([sha512(_DATA[:length]) for length in range(300)])
    assert sha512(hashes) == _HEX(
        "8dbfff7fba0e8bdbab57c3b7ce89219cf36e43c426ac64166db2ed89c603f2e1"
        "89f415de2614e940d4abc94ffb5f3db0da34196e9b42d6150fab1546a662ec58"
    )


def test_parts_are_one_message():
    whole = sha512(_DATA)
    for cut in (0, 1, 127, 128, 129, 256, 299, 300):
        assert sha512(_DATA[:cut], _DATA[cut:]) == whole, cut
    assert sha512(b"", _DATA[:100], b"", _DATA[100:270], _DATA[270:]) == whole
