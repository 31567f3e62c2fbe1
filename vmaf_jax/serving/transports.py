"""How a server is reached: standard input and output, or HTTP on this machine.

Over HTTP only loopback is bound unless another address is named, and then only with a token.
"""

import contextlib
import ipaddress
import json
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.serving.server import make_server
from vmaf_jax.serving.settings import TOKEN, Settings
from vmaf_jax.serving.texts import mend_json

PATH = "/mcp"
_MAX_BODY = 1 << 20  # bytes of a request
_MAX_SESSIONS = 64
_IDLE_S = 900.0
_MIN_TOKEN = 16  # characters
_LOGGED, _LOG_S = 30, 60.0  # records in so many seconds
_LOG_CHARACTERS, _TRACE_CHARACTERS = 300, 3000
_NAMES = ("127.0.0.1", "localhost", "[::1]")


def serve_stdio(settings: Settings) -> None:
    """Serves one client on standard input and output until it goes."""
    from mcp.server.stdio import stdio_server

    server = make_server(settings)
    wire = _Wire()

    async def serve() -> None:
        async with stdio_server(wire, wire) as (reader, writer):  # type: ignore[arg-type]
            await server.run(reader, writer, server.create_initialization_options())

    with limited_log():
        anyio.run(serve)


class _Wire:
    """Standard input and output as the SDK reads and writes them, a line a message.

    What is no message is answered here: the SDK drops it, and its sender would wait for ever. Both
    descriptors are taken from the rest of the program, whose prints must not reach the client.
    """

    def __init__(self) -> None:
        # Not closed: a thread may still wait for a line when the server ends.
        private = [os.dup(0), os.dup(1)]
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a device)
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        text: dict[str, Any] = {"encoding": "utf-8", "closefd": False}
        self._lines = anyio.wrap_file(os.fdopen(private[0], errors="replace", **text))
        self._out = anyio.wrap_file(os.fdopen(private[1], "w", newline="\n", **text))
        self._turn = anyio.Lock()

    async def __aiter__(self) -> AsyncIterator[str]:
        """The client's messages."""
        async for line in self._lines:
            mended = mend_json(line)
            if (error := _fault(mended)) is None:
                yield mended
            elif line.strip():
                await self.write(json.dumps(error) + "\n")
                await self.flush()

    async def write(self, text: str) -> None:
        """Writes a whole line."""
        async with self._turn:
            await self._out.write(text)

    async def flush(self) -> None:
        """Hands what was written to the client."""
        async with self._turn:
            await self._out.flush()


def _fault(line: str) -> dict[str, Any] | None:
    """The answer to a line that is no JSON-RPC message; None to one that is."""
    from mcp.types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter

    try:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    except pydantic.ValidationError:
        code, number = PARSE_ERROR, None
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line)
            code = INVALID_REQUEST
            number = message.get("id") if isinstance(message, dict) else None
        error = {"code": code, "message": "no JSON-RPC message; send one JSON object a line"}
        number = number if isinstance(number, int | str) else None
        return {"jsonrpc": "2.0", "id": number, "error": error}
    return None


@contextlib.contextmanager
def limited_log() -> Iterator[None]:
    """While the block runs, the log grows slowly, whatever clients send."""
    limit = _LogLimit()
    handlers = logging.getLogger().handlers
    for handler in handlers:
        handler.addFilter(limit)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(limit)


class _LogLimit(logging.Filter):
    """Lets few records through in a time, and shortens them."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._since, self._count = time.monotonic(), 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        with self._lock:
            if time.monotonic() - self._since >= _LOG_S:
                self._since, self._count = time.monotonic(), 0
            self._count += 1
            count = self._count
        if count > _LOGGED:
            return False
        text = ascii(record.getMessage()[:_LOG_CHARACTERS])[1:-1]
        record.msg, record.args = text, None
        if count == _LOGGED:
            record.msg += f" (what follows within {_LOG_S:.0f} s is left out)"
        if record.exc_info:
            written = "".join(traceback.format_exception(*record.exc_info))
            record.exc_text = written[-_TRACE_CHARACTERS:]
        return True


def serve_http(settings: Settings, host: str, port: int) -> None:
    """Serves over streamable HTTP until it is interrupted.

    Args:
        host: the address to bind; another than loopback needs a token.

    Raises:
        InputError: no address, one that cannot be bound, or one that others reach and no token to
            keep them out.
    """
    import uvicorn

    from vmaf_jax.serving.http_guard import MAX_HEADER, BoundedProtocol

    app = http_app(settings, host, os.environ.get(TOKEN, ""))
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        h11_max_incomplete_event_size=MAX_HEADER,
        log_config=None,  # ours stands; uvicorn's own would close every handler of the process
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=3,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{host}:{port}: cannot listen ({reason}); try another --port.") from error
    with listener, limited_log():
        shown = f"[{host}]" if ":" in host else host
        print(f"vmaf-jax: MCP at http://{shown}:{port}{PATH}", file=sys.stderr)
        anyio.run(lambda: uvicorn.Server(config).serve(sockets=[listener]))


def http_app(settings: Settings, host: str, token: str) -> Any:
    """The ASGI application behind `serve_http`.

    Raises:
        InputError: as `serve_http`.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    from vmaf_jax.serving.http_guard import Guard

    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError as error:
        raise InputError(f"--host {host}: not an address; give one, such as 127.0.0.1.") from error
    if address.is_unspecified:
        raise InputError(f"--host {host}: name the one address that clients are to use.")
    if token and len(token) < _MIN_TOKEN:
        raise InputError(f"{TOKEN}: shorter than {_MIN_TOKEN} characters; make a longer one.")
    if not address.is_loopback and not token:
        raise InputError(
            f"--host {host}: others reach it; set {TOKEN} to a secret that clients send, or bind "
            f"127.0.0.1."
        )
    own = f"[{host}]" if address.version == 6 else host
    names = _NAMES if address.is_loopback else (own,)
    app = make_server(settings).streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=_MAX_BODY,
        max_sessions=2 * _MAX_SESSIONS,  # the guard ends those that are idle before
        session_idle_timeout=_IDLE_S,
        # The guard's check is stricter: the SDK takes http://127.0.0.1:1@evil.example.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        host=host,
    )
    return Guard(app, names, token, _MAX_SESSIONS)
