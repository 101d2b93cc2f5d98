"""Processes of one home that hand each other work."""

import pytest

from motemo.errors import RemoteError, StateError
from motemo_host import local


async def double(number):
    return 2 * number


async def refuse():
    raise StateError("refused", "not today")


async def test_the_one_that_runs_does_it(tmp_path):
    folder = tmp_path / ("long" * 30) / ("name" * 30)  # more than fits into a socket address
    folder.mkdir(parents=True)
    assert await local.ask(folder, "double", 4) is None
    server = await local.serve(folder, {"double": double, "refuse": refuse})
    assert (folder / "socket").stat().st_mode & 0o777 == 0o600
    assert await local.ask(folder, "double", 4) == 8
    with pytest.raises(RemoteError, match="not today"):
        await local.ask(folder, "refuse")
    for words in (["nothing"], ["double"]):
        with pytest.raises(RemoteError, match="another version"):
            await local.ask(folder, *words)
    server.close()
    await server.wait_closed()
    assert await local.ask(folder, "double", 4) is None
    server = await local.serve(folder, {"double": double})  # after a process that left its socket
    assert await local.ask(folder, "double", 1) == 2
    server.close()


async def test_no_folder_is_nobody(tmp_path):
    assert await local.ask(tmp_path / "none", "double", 4) is None
