"""What HTTP requests must be before the tools see them, and how long their senders may take.

Requests whose `Host` or `Origin` is of another place are refused, so that no web page reaches the
server through a browser (DNS rebinding). Sizes, times and counts are bounded, and the client that
was not heard of for longest makes room for a new one.
"""

import asyncio
import contextlib
import hmac
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER = 16 << 10  # bytes of a request's line and headers
_MAX_CONNECTIONS = 256
_ARRIVAL_S = 20.0  # in which a request must have come whole
_SESSION = b"mcp-session-id"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class BoundedProtocol(H11Protocol):
    """A connection that is closed when its request does not come whole in time.

    Where there are too many, the one whose request is awaited for longest is closed.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Makes room for the connection, and awaits its request."""
        super().connection_made(transport)
        self._await_request()
        if len(self.connections) <= _MAX_CONNECTIONS:
            return
        waiting = [other for other in self.connections if isinstance(other, BoundedProtocol)]
        waiting = [other for other in waiting if other._deadline is not None]
        oldest = min(waiting, key=lambda other: other._deadline.when())  # type: ignore[union-attr]
        oldest.connections.discard(oldest)
        oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Takes a part of a request; the last one ends the wait."""
        if self._deadline is None:
            self._await_request()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._cease()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._cease()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._deadline = self.loop.call_later(_ARRIVAL_S, lambda: self.transport.abort())

    def _cease(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Guard:
    """An ASGI application in front of another.

    Args:
        names: of this server, as `Host` has them, without a port.
        token: what clients must send; nothing where it is empty.
        max_sessions: of clients of older revisions of the protocol, which keep one.
    """

    def __init__(self, app: App, names: Sequence[str], token: str, max_sessions: int) -> None:
        name = f"(?:{'|'.join(map(re.escape, names))})"
        self._host = re.compile(rf"{name}(?::\d{{1,5}})?", re.I)
        self._origin = re.compile(rf"http://{name}(?::\d{{1,5}})?", re.I)
        self._app, self._token = app, token.encode("utf-8", "surrogateescape")
        self._sessions, self._max_sessions = _Sessions(), max_sessions

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Refuses a request, or hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (refusal := self._refusal(scope)) is not None:
            await _refuse(send, *refusal)
            return
        session = _only(scope, _SESSION)
        if session is None and self._sessions.count() >= self._max_sessions:
            await self._make_room(scope)
        with self._sessions.used(session):
            await self._app(scope, receive, self._noting(scope, session, send))

    def _refusal(self, scope: MutableMapping[str, Any]) -> tuple[int, str] | None:
        """The status and the words of a refusal; None for a request that may pass."""
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MAX_HEADER:
            return 431, f"the headers have more than {MAX_HEADER} bytes"
        hosts, origins = _values(scope, b"host"), _values(scope, b"origin")
        if len(hosts) != 1 or not self._host.fullmatch(hosts[0]):
            return 421, "the Host is not this server's"
        if not all(self._origin.fullmatch(origin) for origin in origins):
            return 403, "the Origin is not this server's"
        if self._token and not self._knows(_values(scope, b"authorization")):
            return 401, "send the server's token"
        return None

    def _knows(self, credentials: list[str]) -> bool:
        """Whether `Authorization` has the token; its scheme is written in any case (RFC 9110)."""
        scheme, _, secret = (credentials[0] if len(credentials) == 1 else "").partition(" ")
        given = secret.strip(" ").encode("latin-1")
        return hmac.compare_digest(given, self._token) and scheme.lower() == "bearer"

    def _noting(self, scope: MutableMapping[str, Any], session: str | None, send: Send) -> Send:
        """`send`, which notes the sessions that an answer begins or ends."""

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                if session is None and message["status"] < 400:
                    begun = [v for k, v in message.get("headers", ()) if k.lower() == _SESSION]
                    self._sessions.begin(*(value.decode("latin-1") for value in begun))
                elif session is not None and (
                    message["status"] == 404 or scope["method"] == "DELETE"
                ):
                    self._sessions.forget(session)
            await send(message)

        return note

    async def _make_room(self, scope: MutableMapping[str, Any]) -> None:
        """Ends the session that was not used for longest, if one is not in use."""
        if (session := self._sessions.stalest()) is None:
            return
        self._sessions.forget(session)
        names = {_SESSION: session.encode("latin-1"), b"host": _values(scope, b"host")[0].encode()}
        goodbye = {**scope, "method": "DELETE", "headers": list(names.items()), "state": {}}

        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def unheard(message: Message) -> None:
            pass

        await self._app(goodbye, nothing, unheard)


class _Sessions:
    """When each session was used last, and by how many requests it is used now."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._now: dict[str, int] = {}

    def count(self) -> int:
        return len(self._last)

    def begin(self, *sessions: str) -> None:
        for session in sessions:
            self._last[session] = time.monotonic()

    def forget(self, session: str) -> None:
        self._last.pop(session, None)

    def stalest(self) -> str | None:
        idle = [session for session in self._last if not self._now.get(session)]
        return min(idle, key=self._last.__getitem__, default=None)

    @contextlib.contextmanager
    def used(self, session: str | None) -> Any:
        if session is None or session not in self._last:
            yield
            return
        self._now[session] = self._now.get(session, 0) + 1
        try:
            yield
        finally:
            self._now[session] -= 1
            if not self._now[session]:
                del self._now[session]
            if session in self._last:
                self._last[session] = time.monotonic()


def _values(scope: MutableMapping[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _only(scope: MutableMapping[str, Any], name: bytes) -> str | None:
    values = _values(scope, name)
    return values[0] if values else None


async def _refuse(send: Send, status: int, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
