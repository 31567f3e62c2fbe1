"""Transports of the server: standard input and output, or HTTP.

Over HTTP the server binds to loopback, and to another address only with a token.
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
from typing import TYPE_CHECKING

import anyio
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.printable import replace_surrogates
from vmaf_jax.serving.path_policy import TOKEN, Settings
from vmaf_jax.serving.server import make_server

if TYPE_CHECKING:
    from vmaf_jax.serving.http_guard import Guard

PATH = "/mcp"
_MAX_BODY = 1 << 20  # bytes of a request
_MAX_SESSIONS = 64  # each holds a task and its streams until it is idle for too long
_IDLE_S = 900.0  # after which a session without requests ends
_MIN_TOKEN = 16  # characters
_MAX_RECORDS, _LOG_PERIOD_S = 30, 60.0  # the log takes so many records in a period
_MAX_RECORD, _MAX_TRACEBACK = 300, 3000  # characters
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


def serve_stdio(settings: Settings) -> None:
    """Serves one client on standard input and output until it closes them."""
    from mcp.server.stdio import stdio_server

    server = make_server(settings)
    pipes = _Pipes()

    async def serve() -> None:
        async with stdio_server(pipes, pipes) as (reader, writer):  # type: ignore[arg-type]
            await server.run(reader, writer, server.create_initialization_options())

    with limited_log():
        anyio.run(serve)


class _Pipes:
    """Standard input and output in the form that the SDK reads and writes, one message per line.

    A line that is no message is answered here: the SDK drops it, and its sender would wait forever.
    Both descriptors are taken from the rest of the program, whose prints must not reach the client.
    """

    def __init__(self) -> None:
        lines, out = os.dup(0), os.dup(1)
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 (a device)
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        # Not closed at the end, when a thread may still wait for a line.
        self._lines = anyio.wrap_file(
            os.fdopen(lines, encoding="utf-8", errors="replace", closefd=False)
        )
        self._out = anyio.wrap_file(
            os.fdopen(out, "w", encoding="utf-8", newline="\n", closefd=False)
        )
        self._lock = anyio.Lock()  # the SDK writes too

    async def __aiter__(self) -> AsyncIterator[str]:
        """Yields the client's messages."""
        async for line in self._lines:
            message = replace_surrogates(line)
            if (error := _error_answer(message)) is None:
                yield message
            elif line.strip():
                await self.write(json.dumps(error) + "\n")
                await self.flush()

    async def write(self, text: str) -> None:
        """Writes a whole line."""
        async with self._lock:
            await self._out.write(text)

    async def flush(self) -> None:
        """Sends what was written to the client."""
        async with self._lock:
            await self._out.flush()


def _error_answer(line: str) -> dict[str, object] | None:
    """Returns the answer to a line that is no JSON-RPC message, None to one that is."""
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
    """Limits the size and the number of log records inside the block, whatever clients send."""
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
    """Passes few records in a period, and shortens them."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._since, self._count = time.monotonic(), 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Shortens a record, and returns whether it is written."""
        with self._lock:
            if time.monotonic() - self._since >= _LOG_PERIOD_S:
                self._since, self._count = time.monotonic(), 0
            self._count += 1
            count = self._count
        if count > _MAX_RECORDS:
            return False
        record.msg, record.args = ascii(record.getMessage()[:_MAX_RECORD])[1:-1], None
        if count == _MAX_RECORDS:
            record.msg += f" (what follows within {_LOG_PERIOD_S:.0f} s is left out)"
        if record.exc_info:  # the end of a traceback names the error
            lines = traceback.format_exception(record.exc_info[1])
            record.exc_text = "".join(lines)[-_MAX_TRACEBACK:]
        return True


def serve_http(settings: Settings, host: str, port: int) -> None:
    """Serves over streamable HTTP until it is interrupted.

    Args:
        host: the address to bind; one that others reach needs a token.

    Raises:
        InputError: as `http_app`; or the address cannot be bound.
    """
    import uvicorn

    from vmaf_jax.serving.http_guard import MAX_HEADER, BoundedProtocol

    app = http_app(settings, host, os.environ.get(TOKEN, ""))
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        h11_max_incomplete_event_size=MAX_HEADER,
        log_config=None,  # uvicorn's default would close every log handler of the process
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


def http_app(settings: Settings, host: str, token: str) -> "Guard":
    """Builds the ASGI application behind `serve_http`.

    Raises:
        InputError: the host is not an address, stands for all addresses, or is reached by others
            and there is no token to keep them out.
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
    name = f"[{host}]" if address.version == 6 else host
    names = _LOOPBACK_NAMES if address.is_loopback else (name,)
    app = make_server(settings).streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=_MAX_BODY,
        max_sessions=2 * _MAX_SESSIONS,  # the SDK refuses more; the guard makes room before that
        session_idle_timeout=_IDLE_S,
        # The guard's check is stricter: the SDK accepts http://127.0.0.1:1@evil.example.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        host=host,
    )
    return Guard(app, names, token, _MAX_SESSIONS)
