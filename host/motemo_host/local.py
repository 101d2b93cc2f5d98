"""One process owns a ratchet: others hand their work to it through a socket in the identity's folder.

JSON lines, one request for each connection: {"to", "text", "wait"}; the answer is {"answer"} or {"reason", "text"}.
The socket is only for the user who owns the folder.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from motemo.errors import MotemoError, RemoteError, StateError

__all__ = ["ask", "serve"]

_MAX_LINE = 64 * 1024
_SOCKET = "socket"


async def serve(folder: Path, work: Callable[[str, str, float], Awaitable[str]]) -> asyncio.AbstractServer:
    """Answers requests by `work(to, text, wait)`; the caller holds the folder's lock."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            reply = await _reply(await reader.readline(), work)
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # the other process went, or sent a line without end
        finally:
            writer.close()

    path = folder / _SOCKET
    with suppress(FileNotFoundError):
        path.unlink()  # of a process that was killed: we hold the lock
    former = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(handle, _short(path), limit=_MAX_LINE)
    finally:
        os.umask(former)


async def _reply(line: bytes, work: Callable[[str, str, float], Awaitable[str]]) -> dict[str, str]:
    try:
        request = json.loads(line)
        to, text, wait = str(request["to"]), str(request["text"]), float(request["wait"])
    except (ValueError, KeyError, TypeError):
        return {"reason": "format", "text": "the request cannot be read"}
    try:
        return {"answer": await work(to, text, wait)}
    except MotemoError as error:
        return {"reason": error.reason, "text": error.text}


async def ask(folder: Path, to: str, text: str, wait: float) -> str | None:
    """Lets the running process do it; None when there is none. Raises what that process raised."""
    try:
        reader, writer = await asyncio.open_unix_connection(_short(folder / _SOCKET), limit=_MAX_LINE)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        writer.write(json.dumps({"to": to, "text": text, "wait": wait}).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise StateError("offline", "the listening process went away before it answered")
    reply = json.loads(line)
    if "answer" in reply:
        return reply["answer"]
    raise RemoteError(reply["reason"], reply["text"])


def _short(path: Path) -> str:
    """The path in a form that fits into a socket address (about 100 bytes), whatever the home is."""
    direct = os.fspath(path)
    relative = os.path.relpath(direct)
    return min(direct, relative, key=len)
