"""How a server is reached: standard input and output, or HTTP on this machine.

Over HTTP only loopback is bound unless another address is named, and then only with a token.
Requests whose `Host` or `Origin` is of another place are refused, so that no web page reaches the
server through a browser (DNS rebinding).
"""

import hmac
import ipaddress
import os
import socket
import sys
from typing import Any

import anyio

from vmaf_jax.errors import InputError
from vmaf_jax.serving.server import make_server
from vmaf_jax.serving.settings import TOKEN, Settings

PATH = "/mcp"
_MAX_BODY = 1 << 20  # bytes of a request
_MAX_SESSIONS = 64
_IDLE_S = 900.0
_MIN_TOKEN = 16  # characters
_NAMES = ("127.0.0.1", "localhost", "[::1]")


def serve_stdio(settings: Settings) -> None:
    """Serves one client on standard input and output until it goes."""
    from mcp.server.stdio import stdio_server

    server = make_server(settings)

    async def serve() -> None:
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())

    anyio.run(serve)


def serve_http(settings: Settings, host: str, port: int) -> None:
    """Serves over streamable HTTP until it is interrupted.

    Args:
        host: the address to bind; another than loopback needs a token.

    Raises:
        InputError: no address, one that cannot be bound, or one that others reach and no token to
            keep them out.
    """
    import uvicorn

    app = http_app(settings, host, os.environ.get(TOKEN, ""))
    config = uvicorn.Config(
        app,
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
    with listener:
        shown = f"[{host}]" if ":" in host else host
        print(f"vmaf-jax: MCP at http://{shown}:{port}{PATH}", file=sys.stderr)
        anyio.run(lambda: uvicorn.Server(config).serve(sockets=[listener]))


def http_app(settings: Settings, host: str, token: str) -> Any:
    """The ASGI application behind `serve_http`.

    Raises:
        InputError: as `serve_http`.
    """
    from mcp.server.transport_security import TransportSecuritySettings

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
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[form for name in names for form in (name, f"{name}:*")],
        allowed_origins=[form for name in names for form in (f"http://{name}", f"http://{name}:*")],
    )
    app = make_server(settings).streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=_MAX_BODY,
        max_sessions=_MAX_SESSIONS,
        session_idle_timeout=_IDLE_S,
        transport_security=security,
        host=host,
    )
    return _TokenRequired(app, token) if token else app


class _TokenRequired:
    """Refuses HTTP requests without `Authorization: Bearer TOKEN`."""

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
                start = {"type": "http.response.start", "status": 401}
                await send({**start, "headers": [(b"www-authenticate", b"Bearer")]})
                await send({"type": "http.response.body", "body": b"send the server's token"})
                return
        await self._app(scope, receive, send)
