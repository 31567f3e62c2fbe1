"""A program that extracts a manifest's last clip by a Ray cluster, in parts of three frames."""

import sys
from pathlib import Path

from vmaf_jax.extraction.corpus import CorpusSource
from vmaf_jax.extraction.ray import ray_engine
from vmaf_jax.extraction.request import Request
from vmaf_jax.extraction.shards import Work, write_shards


def main() -> None:
    manifest, folder, address = sys.argv[1:]
    work = Work(Request(cache=Path(f"{folder}.cache")), Path(folder), part_frames=3)
    clips = CorpusSource("manifest", manifest=Path(manifest)).clips()[-1:]
    with ray_engine(address) as engine:
        write_shards(clips, work, engine, lambda rows: print(rows, flush=True))


if __name__ == "__main__":
    main()
