"""Over HTTP: the same tools, loopback only, nothing for web pages, nobody without the token."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import threading
import time

import anyio
import httpx2
import pytest
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.serving.conftest import endless_score
from tests.serving.support import Family, command, wait_until
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.serving import http_guard
from vmaf_jax.serving.path_policy import Settings
from vmaf_jax.serving.requests import TOOLS
from vmaf_jax.serving.transports import http_app

SECRET = "a-secret-that-is-long-enough"  # noqa: S105 (of these tests alone)
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
INITIALIZE = {
    **LIST,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    },
}
HEADERS = {"accept": "application/json, text/event-stream"}


@contextlib.contextmanager
def serving(folder, family, *flags, stderr=None, **environment):
    """A server over HTTP: its port. It ends with SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command(folder, *flags, "--http", "--port", port, "--workers", 1),
        env={**os.environ, **family.environment, **environment},
        stderr=stderr,
    )

    def listens():
        assert process.poll() is None, "the server has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        wait_until(listens)
        yield port
    finally:
        process.terminate()
        process.wait()
    wait_until(lambda: not family.processes())


@pytest.fixture(scope="module")
def family():
    return Family()


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """The file that the server's standard error goes to."""
    return tmp_path_factory.mktemp("log") / "log"


@pytest.fixture(scope="module")
def port(encodes, endless, family, log):
    flags = ("--allow", endless)
    with (
        log.open("wb") as stderr,
        serving(encodes, family, *flags, stderr=stderr, VMAF_JAX_MCP_ALLOW="") as port,
    ):
        yield port


def post(port, **headers):
    url = f"http://127.0.0.1:{port}/mcp"
    return httpx2.post(url, json=LIST, headers={**HEADERS, **headers}, timeout=60).status_code


def test_the_same_tools_answer(port):
    async def check():
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            assert len((await client.list_tools()).tools) == len(TOOLS)
            pair = {"reference": "ref.y4m", "distorted": "dis.mp4"}
            result = await client.call_tool("vmaf_score", pair)
            assert result.structured_content["statistics"]["frames"] == 12
            assert (await client.call_tool("vmaf_score", {})).is_error

    asyncio.run(check())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost.evil.example:80"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1@evil.example"}, 403),
        ({"origin": "http://localhost:8765@evil.example:80"}, 403),
        ({"origin": "http://127.0.0.1:80.evil.example"}, 403),
        ({"host": "127.0.0.1:1@evil.example"}, 421),
        ({"host": "[::1]:1.evil.example"}, 421),
        ({"x-padding": "x" * 17_000}, 431),
    ],
    ids=str,
)
def test_requests_from_other_places_are_refused(port, headers, status):
    assert post(port, **headers) == status


def test_a_header_that_is_far_too_large_is_not_read_to_its_end(port):
    # The answer is lost where the connection is closed on what is still being sent.
    with contextlib.suppress(httpx2.NetworkError):
        assert post(port, **{"x-padding": "x" * 100_000}) == 431


def test_the_own_place_is_not_refused(port):
    for headers in ({}, {"host": f"localhost:{port}"}, {"origin": f"http://127.0.0.1:{port}"}):
        assert post(port, **headers) not in (401, 403, 421)


def test_the_65th_client_is_served_though_none_before_it_said_goodbye(port):
    """In a revision whose clients keep a session; the one not heard of for longest is ended."""
    url, headers = f"http://127.0.0.1:{port}/mcp", dict(HEADERS)
    with httpx2.Client(timeout=60) as http:
        sessions = []
        for _ in range(70):
            answer = http.post(url, json=INITIALIZE, headers=headers)
            assert answer.status_code == 200
            sessions.append(answer.headers["mcp-session-id"])
        status = [
            http.post(url, json=LIST, headers={**headers, "mcp-session-id": session}).status_code
            for session in (sessions[0], sessions[5], sessions[6], sessions[-1])
        ]
    assert status == [404, 404, 200, 200]


def test_a_lone_surrogate_is_answered(port):
    body = json.dumps(LIST).replace("tools/list", "\\ud800")
    headers = {**HEADERS, "content-type": "application/json"}
    url = f"http://127.0.0.1:{port}/mcp"
    assert httpx2.post(url, content=body, headers=headers, timeout=60).status_code == 400


@contextlib.contextmanager
def bounded(monkeypatch, **limits):
    """The address of a server in this process, whose limits a test can wait for."""
    for name, value in limits.items():
        monkeypatch.setattr(http_guard, f"_{name.upper()}", value)

    async def app(scope, receive, send):
        message = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(
        app,
        http=http_guard.BoundedProtocol,
        lifespan="off",
        loop="asyncio",
        log_config=None,
        h11_max_incomplete_event_size=http_guard.MAX_HEADER,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_until(lambda: server.started)
        yield listener.getsockname()
        server.should_exit = True
        thread.join(30)


def closed(connection):
    """Whether the other side has closed, or does so within seconds."""
    connection.settimeout(20)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"POST /mcp HTTP/1.1\r\nhost: x\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc",
    ],
    ids=["nothing", "headers", "a body"],
)
def test_a_request_that_never_comes_whole_is_not_waited_for(part, monkeypatch):
    with bounded(monkeypatch, arrival_s=0.3) as address:
        with socket.create_connection(address) as slow:
            slow.sendall(part)
            assert closed(slow)
        whole = f"http://127.0.0.1:{address[1]}/"
        with httpx2.Client() as http:  # one connection for both requests
            assert [http.get(whole).status_code for _ in range(2)] == [204, 204]


def test_many_slow_connections_make_room_for_a_quick_one(monkeypatch):
    with bounded(monkeypatch, max_connections=8) as address, contextlib.ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection(address)) for _ in range(30)]
        for connection in slow:
            with contextlib.suppress(OSError):
                connection.sendall(b"GET / HTTP/1.1\r\n")
        assert httpx2.get(f"http://127.0.0.1:{address[1]}/", timeout=60).status_code == 204
        assert closed(slow[0])


def test_the_log_grows_slowly_whatever_comes(port, log):
    before = log.stat().st_size
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"\x16\x03\x01" + b"x" * 20_000)
            closed(connection)
    for _ in range(20):
        assert post(port, origin="http://" + "x" * 10_000) == 403
    assert log.stat().st_size - before < 20_000


def test_a_refused_client_can_send_its_body_and_reads_the_answer(port):
    head = f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://elsewhere\r\n"
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"{head}Content-Length: 20000\r\n\r\n".encode())
        time.sleep(0.3)
        connection.sendall(b"x" * 10_000)
        time.sleep(0.3)
        connection.sendall(b"x" * 10_000)
        assert connection.recv(12) == b"HTTP/1.1 403"


def test_a_body_of_absurd_size_is_refused(port):
    url = f"http://127.0.0.1:{port}/mcp"
    body = {**LIST, "params": {"x": "x" * (2 << 20)}}
    assert httpx2.post(url, json=body, headers=HEADERS, timeout=60).status_code == 413
    assert post(port) not in (413, 500)


def test_only_loopback_is_bound(port, family):
    (server,) = family.processes("vmaf_jax mcp")
    listening = [c.laddr.ip for c in server.net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_a_client_that_vanishes_takes_its_call_along(port, endless, family):
    arguments = endless_score(endless)

    async def check():
        async with Client(f"http://127.0.0.1:{port}/mcp", mode="2026-07-28") as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "vmaf_score", arguments)
                await anyio.to_thread.run_sync(lambda: wait_until(family.ffmpegs))
                group.cancel_scope.cancel()
            await anyio.to_thread.run_sync(lambda: wait_until(lambda: not family.ffmpegs()))
            assert not (await client.call_tool("list_backends", {})).is_error

    asyncio.run(check())


def test_a_token_keeps_others_out(encodes):
    async def check(port):
        headers = {"authorization": f"Bearer {SECRET}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
            async with Client(transport) as client:
                assert len((await client.list_tools()).tools) == len(TOOLS)

    family = Family()
    with serving(encodes, family, VMAF_JAX_MCP_TOKEN=SECRET) as port:
        assert post(port) == 401
        assert post(port, authorization=f"Bearer {SECRET[:-1]}x") == 401
        assert post(port, authorization=SECRET) == 401
        assert post(port, authorization=f"Basic {SECRET}") == 401
        for scheme in ("Bearer", "bearer", "BEARER"):
            assert post(port, authorization=f"{scheme} {SECRET}") not in (401, 403)
        wait_until(lambda: family.processes("serving.worker"))
        for worker in family.processes("serving.worker"):
            assert SECRET not in worker.environ().values()
        asyncio.run(check(port))


def test_a_port_that_is_taken_is_bad_input(port, tmp_path):
    class Handler(logging.Handler):
        closed = False

        def close(self):
            self.closed = True
            super().close()

    own = Handler()
    result = run_command("mcp", "--http", "--port", port, "--allow", tmp_path)
    assert result.code == 2
    assert "cannot listen" in result.stderr
    assert not own.closed  # the program's logging is nothing that a server sets up anew


@pytest.mark.parametrize(
    ("host", "token", "words"),
    [
        ("192.0.2.1", "", "set VMAF_JAX_MCP_TOKEN"),
        ("192.0.2.1", "short", "shorter than"),
        ("0.0.0.0", SECRET, "name the one address"),  # noqa: S104 (refused)
        ("::", SECRET, "name the one address"),
        ("example.org", SECRET, "not an address"),
    ],
)
def test_other_addresses_are_bound_only_with_a_token(tmp_path, host, token, words):
    with pytest.raises(InputError, match=words):
        http_app(Settings((tmp_path,), tmp_path), host, token)
    if words.startswith("set"):
        http_app(Settings((tmp_path,), tmp_path), host, SECRET)
