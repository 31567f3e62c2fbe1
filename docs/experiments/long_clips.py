"""Long clips out of the demo corpus: 1,000 frames of cuts between its sources, encoded once.

Clip `k` is drawn with seed `k`: shots of 20 to 48 frames from random places of random sources, one
source never after itself; its rung is `DISTORTIONS[k % 8]`. A clip's Y4M has 280 MB, so that they
are made one at a time.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vmaf_jax.corpora import demo
from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import find_ffmpeg

FRAMES, SHORTEST = 1000, 20  # frames of a clip, and of its shortest shot


@contextlib.contextmanager
def long_clip(k: int) -> Iterator[tuple[Path, Path, str]]:
    """The reference, the distorted video and the rung of clip `k`, as long as the context lasts."""
    references = {clip.source: clip.reference.path for clip in demo.load_clips()}
    rng = np.random.default_rng(k)
    rung = demo.DISTORTIONS[k % len(demo.DISTORTIONS)]
    with work_folder() as folder:
        reference = folder / "reference.y4m"
        _join(list(references.values()), reference, rng)
        distorted = folder / f"distorted{rung.suffix}"
        demo._encode(rung, demo.SMALL, reference, distorted, find_ffmpeg())
        yield reference, distorted, rung.name


def _join(sources: list[Path], out: Path, rng: np.random.Generator) -> None:
    left, last = FRAMES, -1
    frame = 6 + demo.SMALL.width * demo.SMALL.height * 3 // 2  # "FRAME\n" and 4:2:0
    with out.open("wb") as file:
        while left:
            source = int(rng.choice([s for s in range(len(sources)) if s != last]))
            content = sources[source].read_bytes()
            header = content.index(b"\n") + 1
            if last < 0:
                file.write(content[:header])
            n = min(left, int(rng.integers(SHORTEST, demo.SMALL.frames + 1)))
            start = header + frame * int(rng.integers(0, demo.SMALL.frames - n + 1))
            file.write(content[start : start + n * frame])
            left, last = left - n, source
