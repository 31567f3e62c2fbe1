"""What measures a dataset's clips: threads of this machine, or a cluster; a few at a time."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.shards import Shard, Work, write_shard

ENGINES = ("local", "ray")
_NAMED_FAILURES = 5
# Of every clip, by its number, as it comes: its shard, or why it has none.
Outcomes = Iterator[tuple[int, Shard | InputError]]
Engine = Callable[[Sequence[Clip], Work], Outcomes]


def check_engine(engine: str, address: str | None) -> None:
    """Raises InputError where there is no such engine, or an address that it has no use for."""
    if engine not in ENGINES:
        raise InputError(f"--engine {engine}: expected one of {', '.join(ENGINES)}.")
    if engine == "local" and address is not None:
        raise InputError("--address is of a Ray cluster; add --engine ray, or drop it.")


def local_engine(clips: Sequence[Clip], work: Work) -> Outcomes:
    """Threads of this machine, as many as `work.request.jobs`, each of which runs an ffmpeg."""
    cores = os.cpu_count() or 1
    workers = max(1, min(work.request.jobs or cores, len(clips)))
    threads = work.request.threads or max(1, cores // workers)
    work = dataclasses.replace(work, request=dataclasses.replace(work.request, threads=threads))

    def outcome(clip: Clip) -> Shard | InputError:
        try:
            return write_shard(clip, work)
        except InputError as error:
            return error

    running: dict[concurrent.futures.Future[Shard | InputError], int] = {}
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for k, clip in enumerate(clips):
            running[pool.submit(outcome, clip)] = k
            while len(running) >= 2 * workers or (running and k + 1 == len(clips)):
                done, _ = concurrent.futures.wait(running, return_when="FIRST_COMPLETED")
                for future in done:
                    yield running.pop(future), future.result()


def write_shards(
    clips: Sequence[Clip], work: Work, engine: Engine, on_clip: Callable[[int], None]
) -> list[Shard]:
    """The shards of all clips, in the order of `clips`.

    Args:
        on_clip: called after each clip with its rows.

    Raises:
        InputError: clips that failed, by name, after all others are written; or what the engine
            cannot work with.
    """
    shards: list[Shard | None] = [None] * len(clips)
    failures: dict[int, InputError] = {}
    for k, outcome in engine(clips, work):
        if isinstance(outcome, InputError):
            failures[k] = outcome
        else:
            shards[k] = outcome
            on_clip(outcome.rows)
    if failures:
        numbers = sorted(failures)
        named = "; ".join(
            f"{clips[k].source}/{clips[k].name}: {failures[k]}" for k in numbers[:_NAMED_FAILURES]
        )
        more = len(numbers) - _NAMED_FAILURES
        rest = f"; and {more} others" if more > 0 else ""
        raise InputError(
            f"{len(numbers)} of {len(clips)} clips failed ({named}{rest}); the others are kept in "
            f"{work.folder}, mend or drop those and run it again."
        )
    return [shard for shard in shards if shard is not None]
