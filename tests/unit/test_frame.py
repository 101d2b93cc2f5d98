"""Frames: their bytes, and how they are found between boot logs and noise."""

from binascii import crc32

from motemo.link import frame


def body_of(kind, number, payload, seed):
    body = bytes((kind, number)) + payload
    return body + crc32(body, seed).to_bytes(4, "big")


def test_bytes_of_a_frame():
    # CRC-32 (zlib) of f9 07 41 42 is aed5ce4c, by gzip.
    assert frame.build(frame.DATA, 7, b"AB", 0) == bytes.fromhex("00 09 f9 07 41 42 ae d5 ce 4c 00".replace(" ", ""))
    assert frame.intact(bytes.fromhex("f9074142aed5ce4c"), 0)


def test_seed_is_in_the_crc():
    body = body_of(frame.ACK, 1, b"", 5)
    assert frame.intact(body, 5)
    assert not frame.intact(body, 0)
    for bit in range(len(body) * 8):
        bad = bytearray(body)
        bad[bit >> 3] ^= 1 << (bit & 7)
        assert not frame.intact(bytes(bad), 5)


def test_frames_are_found_however_they_are_cut():
    stream = b"boot\r\n" + frame.build(frame.DATA, 0, bytes(512), 0) + frame.build(frame.ACK, 3, b"", 9) + b">>> "
    bodies = [(True, body_of(frame.DATA, 0, bytes(512), 0)), (True, body_of(frame.ACK, 3, b"", 9))]
    for step in (1, 2, 3, 7, 100, len(stream)):
        reader = frame.Reader()
        items = []
        for at in range(0, len(stream), step):
            items += reader.feed(stream[at : at + step])
        assert [item for item in items if item[0]] == bodies
        assert b"".join([item[1] for item in items if not item[0]]) == b"boot\r\n>>> "


def test_text_is_not_kept_waiting():
    reader = frame.Reader()
    assert reader.feed(b"Tr") == [(False, b"Tr")]
    assert reader.feed(b"aceback \xc2\xb0") == [(False, b"aceback \xc2\xb0")]
    reader.feed(b"\0")
    assert reader.feed(b"2") == []
    assert reader.feed(b"1 \xc2\xb0C") == [(False, b"21 \xc2\xb0C")]


def test_a_frame_cut_off_by_a_reset_is_noise_with_the_boot_log():
    reader = frame.Reader()
    cut = frame.build(frame.DATA, 0, b"a" * 100, 0)[:40]
    items = reader.feed(cut + b"rst:0x1 (POWERON_RESET)\r\n" + frame.build(frame.ACK, 1, b"", 0))
    assert items == [(False, cut[1:] + b"rst:0x1 (POWERON_RESET)\r\n"), (True, body_of(frame.ACK, 1, b"", 0))]


def test_endless_frame_is_bounded():
    reader = frame.Reader()
    out = 0
    for _ in range(100):
        out += sum([len(item[1]) for item in reader.feed(b"\xff\xf9" + b"a" * 98)])
    assert 10000 - 600 <= out <= 10000
    assert reader.feed(b"\0" + frame.build(frame.ACK, 1, b"", 0))[-1][0]


def test_too_short_for_a_frame():
    reader = frame.Reader()
    assert reader.feed(b"\0\x04\xf8\x01\x02\0") == [(False, b"\x04\xf8\x01\x02")]
    assert reader.feed(b"\0x\0") == [(False, b"x")]
