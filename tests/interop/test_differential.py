"""Random scenarios against python-omemo: nothing is lost without a cause, and every session still works at the end.

The long form is `tools/differential --examples N`. See `tests.interop.differential` for what a scenario is.
"""

import asyncio
import logging
import os
from collections import Counter

import omemo
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.covers import covers
from tests.interop.differential import Legacy, Omemo2, Scenario

EXAMPLES = int(os.environ.get("MOTEMO_DIFFERENTIAL_EXAMPLES", "50"))  # in each dialect

peers = st.integers(0, 2)
letters = st.integers(0, 7)
counts = st.sampled_from([1, 2, 3, 10, 60])
rounds = st.sampled_from([1, 2, 3, 12])
yes_first = st.sampled_from([True, False])
no_first = st.booleans()
seldom = st.sampled_from([False, False, False, True])
TIGHT = {"skipped": 8, "max_skip": 20}


def operation(name, *arguments):
    return st.tuples(st.just(name), *arguments)


# What is said often stands often.
operations = st.one_of(
    operation("board_sends"),
    operation("peer_sends", peers),
    operation("deliver", letters, yes_first),
    operation("deliver", letters, yes_first),
    operation("deliver", st.just(0), st.just(True)),
    operation("peer_sends", peers),
    operation("board_sends"),
    operation("deliver_all"),
    operation("lose", letters),
    operation("double", letters),
    operation("replay", letters),
    operation("delay", letters),
    operation("lose_all"),
    operation("peer_rekeys", peers),
    operation("peer_forgets", peers),
    operation("peer_restarts", peers),
    operation("board_resets", peers, yes_first),
    operation("board_works"),
    operation("board_restarts", yes_first),
    operation("board_dies_sealing", no_first),
    operation("board_dies_opening", letters, no_first),
    operation("talk", peers, rounds),
    operation("board_sends_in_vain", counts),
    operation("peer_sends_in_vain", peers, counts),
)
# A list of lists, since hypothesis makes one list too short.
scenarios = st.lists(st.lists(operations, min_size=1, max_size=12), max_size=12).map(lambda parts: sum(parts, []))
accounts = st.sampled_from(["a", "aa", "ab", "aab", "abc", "aaa"])


# Who speaks until the sessions have to work. The last: our engine answers a peer by itself, python-omemo does not.
TURNS = [("board", "peers"), ("peers", "board"), ("peers", "peers")]

STARTS_CROSS = [("board_sends",), ("peer_sends", 0)]
LATE_EXCHANGE = [("talk", 0, 1), ("peer_rekeys", 0), ("delay", 0), ("peer_rekeys", 0), ("delay", 0)]
GAP = [("talk", 0, 1), ("peer_sends_in_vain", 0, 21)]
GAP_AFTER_A_LOST_ANSWER = [
    ("board_sends",),
    ("deliver_all",),
    ("board_sends_in_vain", 1),
    ("peer_sends_in_vain", 0, 60),
]
RESET_UNDER_WAY = [("board_sends",), ("deliver", 0, True), ("peer_rekeys", 0), ("board_resets", 0, True)]
SAME_PREKEY = [("talk", 0, 1), ("peer_rekeys", 0), ("peer_rekeys", 0)]


@pytest.mark.timeout(900)  # a failure takes its time until it is small
@covers("O-021", "O-034", "O-035", "O-092", "O-093", "O-119", "O-120", "O-121", "O-122", "O-127", "O-147")
@pytest.mark.parametrize("dialect", [Omemo2, Legacy], ids=lambda dialect: dialect.name)
def test_every_message_arrives_once_or_has_a_cause(dialect, caplog):
    caplog.set_level(logging.ERROR, logger=omemo.SessionManager.LOG_TAG)
    tally = Counter()

    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    @example("a", STARTS_CROSS, False, {}, TURNS[0])
    @example("a", LATE_EXCHANGE, False, {}, TURNS[0])
    @example("a", SAME_PREKEY, True, {}, TURNS[0])
    @example("a", RESET_UNDER_WAY, False, {}, TURNS[0])
    @example("aa", [], True, {}, TURNS[2])
    @example("a", GAP, False, TIGHT, TURNS[1])
    @example("a", GAP_AFTER_A_LOST_ANSWER, False, TIGHT, TURNS[2])
    @given(accounts, scenarios, seldom, seldom.map(lambda tight: TIGHT if tight else {}), st.sampled_from(TURNS))
    def check(accounts, operations, scarce, limits, senders):
        tally.update(asyncio.run(Scenario(dialect, accounts, scarce, **limits).run(operations, senders)))
        tally["scenarios"] += 1

    try:
        check()
    finally:
        print(f"{dialect.name}:", ", ".join(f"{name} {count:,}" for name, count in tally.most_common()))
