"""Files as the world makes them, each pair with its right score from bare libvmaf.

A `Made` is a file: how ffmpeg makes it, and which luma it holds. A `Case` is a pair of them. The
right score of a case is what ffmpeg's libvmaf gives two raw files without any tag, which hold the
luma of the two, brought to one form by hand. It never comes from vmaf_jax.

To add cases, write a table of them in a module of this folder and one test:

    CASES = [
        Case("mpeg2_in_ts", CLEAN, Made("m.ts", of="blurred", encode="-c:v mpeg2video -q:v 2")),
        Case("copy", CLEAN, Made("copy.mkv", encode="-c:v ffv1", holds="clean")),
    ]

    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("case", CASES, ids=name)
    def test_the_world(case, backend, world, tmp_path):
        world.check(case, backend, tmp_path)

Pictures are 172x134, six frames of them, so that JAX compiles once. Files, luma and right scores
are made when they are first asked for, and kept for later runs.
"""

import dataclasses
import hashlib
import json
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.world.kept import SCRATCH
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.video.inputs import Video

BACKENDS = ("libvmaf", "jax")
WIDTH, HEIGHT = 172, 134  # no multiples of a block: encodes of it may be padded
_SOURCE = f"testsrc2=size={WIDTH}x{HEIGHT}:rate=24:duration=0.25,noise=alls=8:all_seed=1"
# Sources, limited range without a tag: what is made of the one before it.
_SOURCES = {
    "clean": ("-f lavfi -i " + _SOURCE, "format=yuv420p"),
    "blurred": ("-i clean.y4m", "boxblur=1:1"),
}
_TOLERANCE = {"libvmaf": 1e-3, "jax": 1e-2}  # of VMAF's points, against integer and float libvmaf


@dataclasses.dataclass(frozen=True)
class Made:
    """A file that ffmpeg makes.

    Attributes:
        name: of the file.
        of: the source, another `Made`, or several that are joined, byte after byte.
        encode: ffmpeg's arguments between the source and the file; "" copies a source's own file.
        holds: the source whose luma is in it, sample for sample; else it is decoded by hand.
        luma: filters that turn its frames to planar YUV, in the range that is to be compared.
        bits: of its luma, or of what `luma` makes of it.
        size: the same of width and height.
        raw: pixel format of a file without a header.
    """

    name: str
    of: "str | Made | tuple[Made, ...]" = "clean"
    encode: str = ""
    holds: str | None = None
    luma: str = ""
    bits: int = 8
    size: tuple[int, int] = (WIDTH, HEIGHT)
    raw: str | None = None


CLEAN = Made("clean.y4m", holds="clean")
BLURRED = Made("blurred.y4m", of="blurred", holds="blurred")


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair, with what is to come of it.

    Attributes:
        name: of the case, unique in its table.
        reference, distorted: the files.
        options: keyword arguments of `extract_pair`.
        warns: what a warning of the result must match; None asks for none that is about pictures.
        refused: what the refusal must match, where the pair has no score.
    """

    name: str
    reference: Made
    distorted: Made
    options: dict[str, object] = dataclasses.field(default_factory=dict)
    warns: str | None = None
    refused: str | None = None


def name(case: Case) -> str:
    """For pytest."""
    return case.name


class World:
    """Files and right scores, made when they are asked for."""

    def __init__(self, ffmpeg: str, folder: Path) -> None:
        self._ffmpeg, self._folder = ffmpeg, folder
        self._luma: dict[Made, np.ndarray] = {}
        for source, (start, filters) in _SOURCES.items():
            self._make(f"{start} -vf {filters}", f"{source}.y4m")

    def check(self, case: Case, backend: str, cache: Path) -> None:
        """Asserts that a case comes out as it says."""
        videos = [self.video(made) for made in (case.reference, case.distorted)]
        settings = {
            "backend": backend,
            "cache": cache,
            "teachers": ("vmaf_v0.6.1",),
            **case.options,
        }
        if case.refused is not None:
            with pytest.raises(InputError, match=case.refused):
                extract_pair(*videos, **settings)
            return
        table = extract_pair(*videos, **settings)
        right = self.right(case.reference, case.distorted)[backend]
        np.testing.assert_allclose(
            table.labels["vmaf_v0.6.1"], right, atol=_TOLERANCE[backend], rtol=0
        )
        warnings = table.provenance["comparison"]["warnings"]
        if case.warns is not None:
            assert any(re.search(case.warns, text) for text in warnings), warnings
        else:
            assert not warnings

    def video(self, made: Made) -> Video:
        """The file."""
        path = self._make(f"-i {self._source(made)} {made.encode}", made.name)
        return Video(path, *made.size, made.raw) if made.raw else Video(path)

    def _make(self, line: str, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            self._run(f"{line} {SCRATCH}/{name}")
            (self._folder / SCRATCH / name).replace(path)
        return path

    def _source(self, made: Made) -> str:
        if isinstance(made.of, str):
            return f"{made.of}.y4m"
        if isinstance(made.of, Made):
            return self.video(made.of).path.name
        return "concat:" + "|".join(self.video(part).path.name for part in made.of)

    def right(self, reference: Made, distorted: Made) -> dict[str, np.ndarray]:
        """Scores of the frames by backend: libvmaf's integer and float extractors."""
        bits = max(reference.bits, distorted.bits)
        # In limited range a deeper sample is a shallow one with zeros behind.
        luma = [self.luma(made) << (bits - made.bits) for made in (reference, distorted)]
        assert luma[0].shape == luma[1].shape
        pair = b"".join(array.tobytes() for array in luma)
        name = f"right_{hashlib.sha256(pair).hexdigest()}_{luma[0].shape[2]}_{bits}.json"
        if not (self._folder / name).exists():
            (self._folder / SCRATCH / name).write_text(json.dumps(self._bare(luma, bits)))
            (self._folder / SCRATCH / name).replace(self._folder / name)
        scores = json.loads((self._folder / name).read_text())
        return {backend: np.array(values) for backend, values in scores.items()}

    def luma(self, made: Made) -> np.ndarray:
        """Luma `[frames, height, width]`, decoded by ffmpeg alone."""
        if made.holds is not None and made.name != f"{made.holds}.y4m":
            return self.luma(Made(f"{made.holds}.y4m", of=made.holds)) << (made.bits - 8)
        if isinstance(made.of, tuple):
            return np.concatenate([self.luma(part) for part in made.of])
        if made not in self._luma:
            self.video(made)
            filters = f"{made.luma},extractplanes=y" if made.luma else "extractplanes=y"
            line = f"-i {made.name} -vf {filters} -fps_mode passthrough -f rawvideo"
            name = f"luma_{hashlib.sha256(repr(made).encode()).hexdigest()}"
            width, height = made.size
            samples = np.fromfile(self._make(line, name), "u1" if made.bits == 8 else "<u2")
            self._luma[made] = samples.reshape(-1, height, width).astype(np.int32)
        return self._luma[made]

    def _bare(self, luma: list[np.ndarray], bits: int) -> dict[str, list[float]]:
        frames, height, width = luma[0].shape
        sample = np.dtype("u1" if bits == 8 else "<u2")
        chroma = np.full((frames, 2 * ((height + 1) // 2) * ((width + 1) // 2)), 1 << (bits - 1))
        for k, array in enumerate(luma):
            content = np.concatenate([array.reshape(frames, -1), chroma], axis=1)
            (self._folder / SCRATCH / f"bare{k}").write_bytes(content.astype(sample).tobytes())
        pix_fmt = "yuv420p" if bits == 8 else f"yuv420p{bits}le"
        raw = f"-f rawvideo -pixel_format {pix_fmt} -video_size {width}x{height} -i {SCRATCH}/bare"
        models = "version=vmaf_v0.6.1\\\\:name=libvmaf|version=vmaf_float_v0.6.1\\\\:name=jax"
        graph = f"libvmaf=log_fmt=json:log_path={SCRATCH}/o.json:model={models}"
        self._run(f"{raw}1 {raw}0 -lavfi '{graph}' -f null -")
        log = json.loads((self._folder / SCRATCH / "o.json").read_text())["frames"]
        return {b: [frame["metrics"][b] for frame in log] for b in BACKENDS}

    def _run(self, line: str) -> None:
        command = [self._ffmpeg, "-v", "error", "-nostdin", "-y", *shlex.split(line)]
        subprocess.run(command, check=True, cwd=self._folder)
