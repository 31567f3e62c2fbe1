"""Calls that end before their time leave no child behind, and the server lives on."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.serving.conftest import endless_score
from tests.serving.support import Family, parameters, stdio, wait_until
from vmaf_jax.errors import InputError
from vmaf_jax.serving.path_policy import Settings
from vmaf_jax.serving.pool import open_pool
from vmaf_jax.serving.requests import TOOLS, ScoreRequest, parse_request

CLIENT = """
import asyncio, json, sys
from mcp import Client, StdioServerParameters

async def heard(progress, total, message):
    print(message, flush=True)

async def main():
    start, tool, arguments = sys.argv[1:]
    async with Client(StdioServerParameters.model_validate_json(start)) as client:
        await client.call_tool(tool, json.loads(arguments), progress_callback=heard)

asyncio.run(main())
"""


async def measuring(client, family, group, arguments):
    """Starts a call that would take hours, and waits until its ffmpeg runs."""
    scope = anyio.CancelScope()

    async def call():
        with scope:
            await client.call_tool("vmaf_score", arguments)

    group.start_soon(call)
    await anyio.to_thread.run_sync(lambda: wait_until(family.ffmpegs))
    return scope


async def cancel_call(client, family, endless, encodes, backend):
    """Cancels a call that would take hours; the folders of the workers before and after it."""
    arguments = {**endless_score(endless), "backend": backend}
    async with anyio.create_task_group() as group:
        scope = await measuring(client, family, group, arguments)
        before = family.folders()
        # A slow call holds no listing up: this is answered while it runs.
        assert len((await client.list_tools(cache_mode="bypass")).tools) == len(TOOLS)
        assert family.ffmpegs()
        scope.cancel()
    await anyio.to_thread.run_sync(lambda: wait_until(lambda: not family.ffmpegs()))
    pair = {"reference": str(encodes / "ref.y4m"), "distorted": str(encodes / "dis.mp4")}
    result = await client.call_tool("vmaf_score", pair)
    assert result.structured_content["statistics"]["frames"] == 12
    return before, family.folders()


def test_a_cancelled_call_ends_its_ffmpeg_and_nothing_else(server, endless, encodes):
    folders = (endless, encodes)
    ends = server.portal.call(cancel_call, server.client, server.family, *folders, "libvmaf")
    (before,), (after,) = ends
    wait_until(lambda: not Path(before).exists())
    assert Path(after).exists()


def test_a_cancelled_call_of_an_older_client_leaves_nothing_behind(endless, encodes):
    family = Family()

    async def check():
        flags = ("--allow", encodes)
        async with stdio(endless, *flags, mode="legacy", **family.environment) as client:
            return await cancel_call(client, family, endless, encodes, "jax")

    before, after = asyncio.run(check())
    wait_until(lambda: not family.processes())
    assert before
    assert after
    assert not any(Path(folder).exists() for folder in [*before, *after])


def test_calls_that_are_cancelled_at_any_moment_leave_nothing(endless, encodes, table, tmp_path):
    family = Family()
    training = {"name": "never", "features": str(table), "steps": 20_000}

    async def check():
        flags = ("--allow", encodes, "--workers", 1, "--out", tmp_path / "out")
        async with stdio(endless, *flags, **family.environment) as client:
            for seconds in (0, 0.001, 0.03, 0.3, 1.0):
                async with anyio.create_task_group() as group:
                    for _ in range(3):  # one runs or is about to, the others wait
                        group.start_soon(client.call_tool, "vmaf_score", endless_score(endless))
                    await anyio.sleep(seconds)
                    group.cancel_scope.cancel()
            trains = anyio.Event()

            async def follow(progress, total, message):
                if message.startswith("training"):
                    trains.set()

            async with anyio.create_task_group() as group:
                call = functools.partial(client.call_tool, progress_callback=follow)
                group.start_soon(call, "train_model", training)
                with anyio.fail_after(90):
                    await trains.wait()
                group.cancel_scope.cancel()
            assert not (await client.call_tool("list_backends", {})).is_error
            assert not family.ffmpegs()

    asyncio.run(check())
    wait_until(lambda: not family.processes())
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "out"])


@pytest.mark.parametrize("killed", ["client", "server"])
def test_none_that_is_killed_leaves_the_others_behind(endless, killed):
    family = Family()
    start = parameters(endless, **family.environment).model_dump_json()
    environment = {**os.environ, **family.environment}
    call = [sys.executable, "-c", CLIENT, start, "vmaf_score", json.dumps(endless_score(endless))]
    client = subprocess.Popen(call, env=environment)
    try:
        wait_until(family.ffmpegs)
        folders = family.folders()
        (server,) = family.processes("vmaf_jax mcp")
        (client if killed == "client" else server).kill()
        wait_until(lambda: not family.processes("vmaf_jax mcp"))
        wait_until(lambda: not family.processes("serving.worker") and not family.ffmpegs())
    finally:
        client.kill()
        client.wait()
    assert folders
    assert not any(Path(folder).exists() for folder in folders)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_ends_within_seconds_of_its_server(number, tmp_path):
    """Its main thread is in a compiled program, where no handler of Python's runs.

    Where the server is killed, SIGTERM of the system is all that its worker hears.
    """
    family = Family()
    start = parameters(tmp_path, "--out", tmp_path / "out", **family.environment)
    training = {"name": "never", "network": "nano", "steps": 20_000}
    call = [sys.executable, "-c", CLIENT, start.model_dump_json(), "train_model"]
    client = subprocess.Popen(
        [*call, json.dumps(training)],
        env={**os.environ, **family.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert client.stdout is not None
        assert any(line.startswith("training") for line in client.stdout)
        (worker,) = family.processes("serving.worker")
        busy = worker.cpu_times().user
        wait_until(lambda: worker.cpu_times().user > busy + 4)  # well in the program
        (server,) = family.processes("vmaf_jax mcp")
        server.send_signal(number)
        wait_until(lambda: not family.processes("serving.worker"), seconds=15)
    finally:
        client.kill()
        client.communicate()
    wait_until(lambda: not family.processes())
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "out"])


def test_a_call_past_its_time_or_past_the_queue_is_refused_in_words(endless):
    """Of four calls one runs, one waits, and two are refused at once."""
    settings = Settings((endless,), endless / "out", workers=1, queue=1, seconds=1.0)
    arguments = parse_request(ScoreRequest, endless_score(endless), settings).model_dump(
        mode="json"
    )
    refusals: list[str] = []

    async def check():
        async def call():
            try:
                await pool.run(TOOLS["vmaf_score"], arguments, quiet)
            except InputError as error:
                refusals.append(str(error))
            if len(refusals) == 3:
                group.cancel_scope.cancel()

        async with open_pool(settings) as pool, anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(call)

    asyncio.run(check())
    assert ["busy" in text for text in refusals] == [True, True, False]
    assert "ended after 1 s" in refusals[2]


def test_a_lost_worker_is_a_tool_error_and_another_takes_its_place(server, endless):
    lost = []

    async def call():
        arguments = endless_score(endless)
        lost.append(await server.client.call_tool("vmaf_score", arguments))

    async def check():
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await anyio.to_thread.run_sync(lambda: wait_until(server.family.ffmpegs))
            (worker,) = server.family.processes("serving.worker")
            os.killpg(worker.pid, signal.SIGKILL)

    server.portal.call(check)
    (result,) = lost
    assert result.is_error
    assert "the worker ended in mid-call" in result.content[0].text
    assert server.answer("list_backends")["backends"]


async def quiet(step, message):
    """Progress that nobody follows."""
