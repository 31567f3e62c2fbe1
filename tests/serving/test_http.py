"""Over HTTP: the same tools, loopback only, nothing for web pages, nobody without the token."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.serving.conftest import ENDLESS
from tests.serving.support import Family, command, wait_until
from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.serving.settings import Settings
from vmaf_jax.serving.transports import http_app

SECRET = "a-secret-that-is-long-enough"  # noqa: S105 (of these tests alone)
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"accept": "application/json, text/event-stream"}


@contextlib.contextmanager
def serving(folder, family, **environment):
    """A server over HTTP: its port. It ends with SIGTERM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        command(folder, "--http", "--port", port, "--workers", 1),
        env={**os.environ, **family.environment, **environment},
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
def port(encodes, endless, family):
    with serving(encodes, family, VMAF_JAX_MCP_ALLOW="") as port:
        yield port


def post(port, **headers):
    url = f"http://127.0.0.1:{port}/mcp"
    return httpx2.post(url, json=LIST, headers={**HEADERS, **headers}, timeout=60).status_code


def test_the_same_tools_answer(port):
    async def check():
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            assert len((await client.list_tools()).tools) == 9
            pair = {"ref": "ref.y4m", "dis": "dis.mp4"}
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
    ],
    ids=str,
)
def test_requests_from_other_places_are_refused(port, headers, status):
    assert post(port, **headers) == status


def test_the_own_place_is_not_refused(port):
    for headers in ({}, {"host": f"localhost:{port}"}, {"origin": f"http://127.0.0.1:{port}"}):
        assert post(port, **headers) not in (401, 403, 421)


def test_a_body_of_absurd_size_is_refused(port):
    url = f"http://127.0.0.1:{port}/mcp"
    body = {**LIST, "params": {"x": "x" * (2 << 20)}}
    assert httpx2.post(url, json=body, headers=HEADERS, timeout=60).status_code == 413
    assert post(port) not in (413, 500)


def test_only_loopback_is_bound(port, family):
    (server,) = family.processes("vmaf_jax mcp")
    listening = [c.laddr.ip for c in server.net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


def test_a_client_that_vanishes_takes_its_call_along(endless):
    family = Family()

    async def check(port):
        async with Client(f"http://127.0.0.1:{port}/mcp", mode="2026-07-28") as client:
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "vmaf_score", ENDLESS)
                await anyio.to_thread.run_sync(lambda: wait_until(family.ffmpegs))
                group.cancel_scope.cancel()
            await anyio.to_thread.run_sync(lambda: wait_until(lambda: not family.ffmpegs()))
            assert not (await client.call_tool("list_backends", {})).is_error

    with serving(endless, family) as port:
        asyncio.run(check(port))


def test_a_token_keeps_others_out(encodes):
    async def check(port):
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {SECRET}"}) as http:
            transport = streamable_http_client(f"http://127.0.0.1:{port}/mcp", http_client=http)
            async with Client(transport) as client:
                assert len((await client.list_tools()).tools) == 9

    with serving(encodes, Family(), VMAF_JAX_MCP_TOKEN=SECRET) as port:
        assert post(port) == 401
        assert post(port, authorization=f"Bearer {SECRET[:-1]}x") == 401
        assert post(port, authorization=SECRET) == 401
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
