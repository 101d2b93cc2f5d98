"""The benches that are quick: what they print, and the sizes that have a bar. Times are not tested."""

import json
import sys

import pytest

from tools import bench


def run(monkeypatch, capsys, *words):
    """The exit code of tools/bench with these words, and what it prints on stdout."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    code = bench.main()
    return code, capsys.readouterr().out


def test_link_bench_prints_one_object_with_the_real_sizes(monkeypatch, capsys):
    code, text = run(monkeypatch, capsys, "link", "--json")
    assert code == 0 and text.count("\n") == 1
    found = json.loads(text)
    assert all(key.startswith("link.") for key in found)
    assert 0 < found["link.ack_bytes"] < found["link.ping_bytes"] < found["link.reading_bytes"] <= 300
    assert found["link.reading_bytes"] < found["link.senml_reading_bytes"] < found["link.senml_stanza_bytes"]
    assert 600 < found["link.stanza_bytes"] < 900


def test_crypto_bench_measures_ours_beside_the_baseline():
    found = bench.figures("crypto")
    wanted = ("x25519_ms", "x25519_plain_ms", "ed25519_verify_ms", "prekey_ms", "seal_open_ms")
    assert all(found["crypto." + name] > 0 for name in wanted)


def test_a_table_is_in_the_order_of_its_keys():
    assert bench.table({"b.long_name": 1234, "a.time_ms": 0.5}) == "a.time_ms           0.50\nb.long_name     1,234"


def test_a_bench_that_fails_on_micropython_shows_why(monkeypatch, capsys):
    monkeypatch.setattr(bench, "HEAP", "40K")
    monkeypatch.setattr(sys, "argv", ["bench", "crypto", "--json"])
    assert bench.main() == 1
    printed = capsys.readouterr()
    assert printed.out == "" and "MemoryError" in printed.err


def test_a_bench_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "weather"])
    with pytest.raises(SystemExit) as caught:
        bench.main()
    assert caught.value.code == 2
