"""Two hundred requests at once: all are answered or refused in words, and nothing grows."""

import anyio
import pytest

CALLS = 200
GROWTH = 48 << 20  # bytes, of the server and its worker together, from one burst to the next
BAD = {"reference": "../secret", "distorted": "dis.mp4"}
KINDS: tuple[tuple[str, dict], ...] = (
    ("vmaf_score", {"reference": "ref.y4m", "distorted": "dis.mp4", "model": "nano"}),
    ("list_models", {}),
    ("vmaf_score", BAD),
    ("none_such", {}),
)


def burst(server):
    """The results of `CALLS` calls that are sent together, in the order of their sending."""

    async def run():
        results = [None] * CALLS

        async def call(k):
            results[k] = await server.client.call_tool(*KINDS[k % len(KINDS)])

        async with anyio.create_task_group() as group:
            for k in range(CALLS):
                group.start_soon(call, k)
        return results

    return server.portal.call(run)


def memory(server):
    return sum(process.memory_info().rss for process in server.family.processes())


@pytest.fixture(scope="module")
def processes(server):
    """After a first burst, which loads and compiles."""
    burst(server)
    return {process.pid for process in server.family.processes()}


def test_all_are_answered_and_nothing_grows(server, processes):
    before = memory(server)
    for _ in range(2):
        for k, result in enumerate(burst(server)):
            assert result is not None
            assert result.is_error is (k % len(KINDS) >= 2)
            assert result.content[0].text
    assert {process.pid for process in server.family.processes()} == processes
    assert memory(server) - before < GROWTH


def test_a_queue_is_served_in_order(server, processes):
    """One worker: later calls end later."""
    ended = []

    async def run():
        async def call(k):
            await server.client.call_tool(*KINDS[1])
            ended.append(k)

        async with anyio.create_task_group() as group:
            for k in range(20):
                group.start_soon(call, k)

    server.portal.call(run)
    assert ended == list(range(20))
