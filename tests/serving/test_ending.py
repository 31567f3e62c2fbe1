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

from tests.serving.conftest import ENDLESS
from tests.serving.support import Family, parameters, stdio, wait_until
from vmaf_jax.errors import InputError
from vmaf_jax.serving.catalogue import TOOLS
from vmaf_jax.serving.pool import open_pool
from vmaf_jax.serving.requests import Score, checked, parse
from vmaf_jax.serving.settings import Settings

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


async def measuring(client, family, group, **arguments):
    """Starts a call that would take hours, and waits until its ffmpeg runs."""
    scope = anyio.CancelScope()

    async def call():
        with scope:
            await client.call_tool("vmaf_score", {**ENDLESS, **arguments})

    group.start_soon(call)
    await anyio.to_thread.run_sync(lambda: wait_until(family.ffmpegs))
    return scope


@pytest.mark.parametrize(("backend", "mode"), [("libvmaf", "auto"), ("jax", "legacy")])
def test_a_cancelled_call_ends_its_ffmpeg_and_nothing_else(endless, encodes, backend, mode):
    family = Family()

    async def check():
        flags = ("--allow", encodes)
        async with stdio(endless, *flags, mode=mode, **family.environment) as client:
            async with anyio.create_task_group() as group:
                scope = await measuring(client, family, group, backend=backend)
                # A slow call holds no listing up: this is answered while it runs.
                assert len((await client.list_tools(cache_mode="bypass")).tools) == len(TOOLS)
                assert family.ffmpegs()  # of a call that would take hours
                scope.cancel()
            await anyio.to_thread.run_sync(lambda: wait_until(lambda: not family.ffmpegs()))
            pair = {"reference": str(encodes / "ref.y4m"), "distorted": str(encodes / "dis.mp4")}
            result = await client.call_tool("vmaf_score", pair)
            assert result.structured_content["statistics"]["frames"] == 12
            return family.folders()

    folders = asyncio.run(check())
    wait_until(lambda: not family.processes())
    assert folders
    assert not any(Path(folder).exists() for folder in folders)


def test_calls_that_are_cancelled_at_any_moment_leave_nothing(endless, encodes, table, tmp_path):
    family = Family()
    training = {"name": "never", "features": str(table), "steps": 20_000}

    async def check():
        flags = ("--allow", encodes, "--workers", 1, "--out", tmp_path / "out")
        async with stdio(endless, *flags, **family.environment) as client:
            for seconds in (0, 0.001, 0.03, 0.3, 1.0):
                async with anyio.create_task_group() as group:
                    for _ in range(3):  # one runs or is about to, the others wait
                        group.start_soon(client.call_tool, "vmaf_score", ENDLESS)
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
    call = [sys.executable, "-c", CLIENT, start, "vmaf_score", json.dumps(ENDLESS)]
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


TOLD = {
    "the server is killed": ("vmaf_jax mcp", signal.SIGKILL),
    "the server is told to end": ("vmaf_jax mcp", signal.SIGTERM),
    "the worker is told to end": ("serving.worker", signal.SIGTERM),
}


@pytest.mark.parametrize("told", TOLD)
def test_a_training_ends_within_seconds(told, tmp_path):
    """Its main thread is in a compiled program, where no handler of Python's runs."""
    name, number = TOLD[told]
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
        (process,) = family.processes(name)
        line = f"serving.worker {worker.cwd()}"
        process.send_signal(number)
        wait_until(lambda: not family.processes(line), seconds=15)
    finally:
        client.kill()
        client.communicate()
    wait_until(lambda: not family.processes())
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "out"])


def test_a_call_past_its_time_or_past_the_queue_is_refused_in_words(endless):
    settings = Settings((endless,), endless / "out", workers=1, queue=1, seconds=1.0)
    arguments = checked(parse(Score, ENDLESS), settings).model_dump(mode="json")
    refusals: list[str] = []

    async def check():
        async def call():
            try:
                await pool.run("vmaf_score", arguments, quiet, long=False, ends_worker=False)
            except InputError as error:
                refusals.append(str(error))

        async with open_pool(settings) as pool, anyio.create_task_group() as group:
            for _ in range(4):  # the pool's own start, and a call, hold the first two places
                group.start_soon(call)

    asyncio.run(check())
    assert len(refusals) == 4
    assert [text for text in refusals if "busy" in text]
    assert [text for text in refusals if "ended after 1 s" in text]
    assert all("busy" in text or "ended after 1 s" in text for text in refusals)


def test_a_lost_worker_is_a_tool_error_and_another_takes_its_place(endless, encodes):
    family = Family()

    async def check():
        async with stdio(endless, "--allow", encodes, **family.environment) as client:
            lost = []

            async def call():
                lost.append(await client.call_tool("vmaf_score", ENDLESS))

            async with anyio.create_task_group() as group:
                group.start_soon(call)
                await anyio.to_thread.run_sync(lambda: wait_until(family.ffmpegs))
                (worker,) = family.processes("serving.worker")
                os.killpg(worker.pid, signal.SIGKILL)
            (result,) = lost
            assert result.is_error
            assert "the worker ended in mid-call" in result.content[0].text
            assert not (await client.call_tool("list_backends", {})).is_error

    asyncio.run(check())
    wait_until(lambda: not family.processes())


async def quiet(step, message):
    """Progress that nobody follows."""
