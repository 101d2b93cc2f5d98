"""One process owns a ratchet, or a port: others hand their work to it through a socket in the folder of what it owns.

JSON lines, one request for each connection: [operation, argument, …]; the answer is {"answer"} or {"reason", "text"}.
The socket is only for the user who owns the folder.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from motemo.errors import MotemoError, RemoteError, StateError

__all__ = ["ask", "serve"]

_MAX_LINE = 64 * 1024
_SOCKET = "socket"

Work = Mapping[str, Callable[..., Awaitable[Any]]]


async def serve(folder: Path, work: Work) -> asyncio.AbstractServer:
    """Answers requests by what `work` has for the operation; the caller holds the folder's lock."""

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
    path.unlink(missing_ok=True)  # of a process that was killed: we hold the lock
    listening = socket.socket(socket.AF_UNIX)
    former = os.umask(0o177)
    try:
        with _short(path) as address:
            listening.bind(address)
    finally:
        os.umask(former)
    return await asyncio.start_unix_server(handle, sock=listening, limit=_MAX_LINE)


async def _reply(line: bytes, work: Work) -> dict[str, Any]:
    try:
        operation, *arguments = json.loads(line)
        return {"answer": await work[operation](*arguments)}
    except (ValueError, KeyError, TypeError):
        return {"reason": "protocol", "text": "another version of motemo runs there; stop it first"}
    except MotemoError as error:
        return {"reason": error.reason, "text": error.text}


async def ask(folder: Path, operation: str, *arguments: Any) -> Any:
    """Lets the running process do it; None when there is none. Raises what that process raised."""
    try:
        with _short(folder / _SOCKET) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=_MAX_LINE)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        writer.write(json.dumps([operation, *arguments]).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise StateError("offline", "the motemo that runs went away before it answered; run this again")
    reply = json.loads(line)
    if "answer" in reply:
        return reply["answer"]
    raise RemoteError(reply["reason"], reply["text"])


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path in a form that fits into a socket address (about 100 bytes), whatever the home is (Linux)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
