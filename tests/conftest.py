"""Fixtures and collection for all tests."""

import gc

import pytest
from hypothesis import settings

from tests.interpreters import InterpreterFile
from tests.peers.omemo_peer import Peer
from tests.peers.prosody import Prosody
from tests.system.stage import Stage

# No deadline: the machines of the tests are small and shared.
settings.register_profile("motemo", deadline=None)
settings.load_profile("motemo")

THREE_TIMES = ("unit", "samples")


def pytest_collect_file(file_path, parent):
    """The plain unit tests are collected for the other interpreters too."""
    if file_path.parent.name in THREE_TIMES and file_path.match("test_*.py") and not file_path.match("*_host.py"):
        return InterpreterFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    """No garbage collection while a failure is put into words.

    Both pytest's report and the traceback that a failed task logs when it is collected call `ast.parse`, which cannot
    be entered twice on CPython 3.11.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.fixture(scope="session")
def prosody():
    """A running XMPP server, see `tests.peers.prosody.Prosody`; accounts of one test are not those of another."""
    with Prosody() as server:
        yield server


@pytest.fixture
def stage(prosody, tmp_path):
    """A `Stage` of the test's own."""
    stage = Stage(prosody, tmp_path)
    yield stage
    stage.close()


@pytest.fixture
async def start_peer(prosody):
    """A function that makes an account, signs it in as an OMEMO client that we did not write, and returns the `Peer`.

    `await start_peer("alice", echo=True)`: the words are those of `Peer`.
    """
    peers = []

    async def start(user, **options):
        jid = prosody.add_account(user, "pw")
        peer = Peer(jid, "pw", host=prosody.host, port=prosody.tls_port, certificate=prosody.certificate, **options)
        peers.append(peer)
        await peer.start()
        return peer

    yield start
    for peer in peers:
        await peer.stop()
