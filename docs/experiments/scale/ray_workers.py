"""Extraction by Ray: two workers of one core beside one, and what a task costs.

    python docs/experiments/scale/ray_workers.py CLIPS FRAMES

Makes CLIPS pairs of raw video (352x288, FRAMES frames each, all different), and measures them with
a Ray cluster of this machine alone, once with one core and once with two, into folders of their own,
caches empty. Ray, its workers, their ffmpeg and this command are bound to as many cores: an ffmpeg of one
thread otherwise takes some of a second. Then the shards are requested again, which costs hashing and a look at each shard: what
is left of a task when its measurement is taken away. Prints JSON.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main(n_clips: int, n_frames: int) -> None:
    """Prints the figures."""
    os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray

    from vmaf_jax.extraction.ray import Cluster, local_tools
    from vmaf_jax.extraction.request import Request
    from vmaf_jax.extraction.shards import ShardSettings, local_engine, write_shards
    from vmaf_jax.video.inputs import Clip, Video

    ours = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = []
        rng = np.random.default_rng(0)
        size = 352 * 288 * 3 // 2 * n_frames
        reference = folder / "reference.yuv"
        reference.write_bytes(rng.integers(0, 255, size, np.uint8).tobytes())
        for k in range(n_clips):
            path = folder / f"d{k}.yuv"
            path.write_bytes(rng.integers(0, 255, size, np.uint8).tobytes())
            videos = [Video(file, 352, 288, "yuv420p") for file in (reference, path)]
            clips.append(Clip("made_up", "s", f"c{k}", *videos))
        figures: dict[str, object] = {"clips": n_clips, "frames": n_frames, "load": os.getloadavg()}
        for label, cores in (("one", 1), ("two", 2), ("one_again", 1), ("two_again", 2)):
            request = Request(cache=folder / f"cache_{label}", threads=1)
            work = ShardSettings(request, folder / label)
            os.sched_setaffinity(0, ours[:cores])
            ray.init(num_cpus=cores, include_dashboard=False, logging_level="ERROR")
            warm = [Clip("made_up", "s", f"w{k}", *videos) for k in range(cores)]
            write_shards(warm, work, Cluster(ray, local_tools()).write_shards, lambda _: None)
            for what in ("measured", "asked_again"):
                started = time.perf_counter()
                write_shards(clips, work, Cluster(ray, local_tools()).write_shards, lambda _: None)
                figures[f"{label}_{what}_s"] = time.perf_counter() - started
            ray.shutdown()
        os.sched_setaffinity(0, ours[:1])
        request = Request(cache=folder / "cache_local", threads=1, jobs=1)
        for what in ("measured", "asked_again"):
            started = time.perf_counter()
            write_shards(
                clips, ShardSettings(request, folder / "local"), local_engine, lambda _: None
            )
            figures[f"local_one_{what}_s"] = time.perf_counter() - started
        print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
