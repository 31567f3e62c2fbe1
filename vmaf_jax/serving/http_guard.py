"""Checks and bounds of HTTP requests, before the tools see them.

A request whose `Host` or `Origin` names another server is refused, so that no web page reaches this
one through a browser (DNS rebinding). Sizes, times and counts are bounded; the client that was
silent for longest makes room for a new one.
"""

import asyncio
import contextlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER = 16 << 10  # bytes of a request's line and headers
_MAX_CONNECTIONS = 256
_ARRIVAL_S = 20.0  # in which a request must arrive whole
_REFUSED_BODY = 64 << 10  # bytes of a refused request that are read
_SESSION = b"mcp-session-id"

Scope = MutableMapping[str, Any]  # of ASGI, as the message is
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class BoundedProtocol(H11Protocol):
    """A connection that is closed if its request does not arrive whole in time.

    Of too many connections, the one whose request has been awaited for longest is closed.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the wait for a request, and closes another connection if there are too many."""
        super().connection_made(transport)
        self._start_waiting()
        if len(self.connections) <= _MAX_CONNECTIONS:
            return
        deadlines = {
            other: other._deadline.when()
            for other in self.connections
            if isinstance(other, BoundedProtocol) and other._deadline is not None
        }
        oldest = min(deadlines, key=deadlines.__getitem__)
        oldest.connections.discard(oldest)
        oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Takes a part of a request; the last part ends the wait."""
        if self._deadline is None:
            self._start_waiting()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _start_waiting(self) -> None:
        self._deadline = self.loop.call_later(_ARRIVAL_S, lambda: self.transport.abort())

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Guard:
    """An ASGI application that refuses bad requests and passes the others to another application.

    Args:
        names: of this server, as in `Host`, without a port.
        token: what clients must send; nothing where it is empty.
        max_sessions: sessions at a time, which clients of older revisions of the protocol keep.
    """

    def __init__(self, app: App, names: Sequence[str], token: str, max_sessions: int) -> None:
        name = f"(?:{'|'.join(map(re.escape, names))})"
        self._host = re.compile(rf"{name}(?::\d{{1,5}})?", re.I)
        self._origin = re.compile(rf"http://{name}(?::\d{{1,5}})?", re.I)
        self._app, self._token = app, token.encode("utf-8", "surrogateescape")
        self._sessions, self._max_sessions = _Sessions(), max_sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses a request, or passes it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (refusal := self._refusal(scope)) is not None:
            status, text = refusal
            await _refuse(receive, send, status, text)
            return
        session = next(iter(_header(scope, _SESSION)), None)
        if session is None and self._sessions.count() >= self._max_sessions:
            await self._make_room(scope)
        with self._sessions.used(session):
            await self._app(scope, receive, self._record_sessions(scope, session, send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Returns the status and the text of a refusal, None for a request that may pass."""
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MAX_HEADER:
            return 431, f"the headers have more than {MAX_HEADER} bytes"
        hosts, origins = _header(scope, b"host"), _header(scope, b"origin")
        if len(hosts) != 1 or not self._host.fullmatch(hosts[0]):
            return 421, "the Host is not this server's"
        if not all(self._origin.fullmatch(origin) for origin in origins):
            return 403, "the Origin is not this server's"
        if self._token and not self._has_token(_header(scope, b"authorization")):
            return 401, "send the server's token"
        return None

    def _has_token(self, credentials: list[str]) -> bool:
        """Whether `Authorization` holds the token; its scheme is case-insensitive (RFC 9110)."""
        scheme, _, secret = (credentials[0] if len(credentials) == 1 else "").partition(" ")
        given = secret.strip(" ").encode("latin-1")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    def _record_sessions(self, scope: Scope, session: str | None, send: Send) -> Send:
        """Returns a `send` that records the sessions that an answer begins or ends."""

        async def record(message: Message) -> None:
            if message["type"] == "http.response.start":
                if session is None and message["status"] < 400:
                    for name, value in message.get("headers", ()):
                        if name.lower() == _SESSION:
                            self._sessions.begin(value.decode("latin-1"))
                elif session is not None and (
                    message["status"] == 404 or scope["method"] == "DELETE"
                ):
                    self._sessions.forget(session)
            await send(message)

        return record

    async def _make_room(self, scope: Scope) -> None:
        """Ends the session that was unused for longest, if there is one that is not in use."""
        if (session := self._sessions.stalest()) is None:
            return
        self._sessions.forget(session)
        names = {_SESSION: session.encode("latin-1"), b"host": _header(scope, b"host")[0].encode()}
        # As a client ends its session, so that the SDK frees what belongs to it.
        delete = {**scope, "method": "DELETE", "headers": list(names.items()), "state": {}}

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            pass

        await self._app(delete, receive, send)


class _Sessions:
    """Sessions: the time of their last use, and the number of requests that use them now."""

    def __init__(self) -> None:
        self._last_use: dict[str, float] = {}
        self._users: dict[str, int] = {}

    def count(self) -> int:
        return len(self._last_use)

    def begin(self, session: str) -> None:
        self._last_use[session] = time.monotonic()

    def forget(self, session: str) -> None:
        self._last_use.pop(session, None)

    def stalest(self) -> str | None:
        idle = [session for session in self._last_use if not self._users.get(session)]
        return min(idle, key=self._last_use.__getitem__, default=None)

    @contextlib.contextmanager
    def used(self, session: str | None) -> Iterator[None]:
        if session is None or session not in self._last_use:
            yield
            return
        self._users[session] = self._users.get(session, 0) + 1
        try:
            yield
        finally:
            self._users[session] -= 1
            if not self._users[session]:
                del self._users[session]
            if session in self._last_use:
                self._last_use[session] = time.monotonic()


def _header(scope: Scope, name: bytes) -> list[str]:
    """Returns the values of a header, which may be sent several times."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def _refuse(receive: Receive, send: Send, status: int, text: str) -> None:
    """Answers a request, and asks for the end of its connection.

    The body is read first, up to a limit: what is left unread when the connection is closed resets
    it, and the client may lose the answer.
    """
    left = _REFUSED_BODY
    while left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
