"""One libvmaf in an ffmpeg graph that measures chosen frames, to the values of the whole.

VIF and ADM see one frame; motion sees a frame, the one before it and the one after. So each chosen
frame goes in with both neighbours, and `n_subsample=3` has VIF and ADM computed on the middle ones
alone: libvmaf runs extractors with a memory, motion's, on every frame. Chosen frames less than
three apart would share neighbours, and are for different branches of the graph. Frame 0 has a
branch of its own, which begins as the whole does: what libvmaf gives a first frame for motion it
gives no other.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.v1_form import libvmaf_keys, model_options
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.video.encode import Encode

STEP = 3  # frames that go in for each one chosen
# Of an output that is run for what its filters write: its first frame alone goes on to an encoder.
# Filters in one thread: ffmpeg else hands parts of each frame to threads that wait for them.
RUN_THROUGH = "select=not(n)"
ONE_THREAD = ("-filter_complex_threads", "1")
FIRST_FRAMES = 3  # that frame 0's values may depend on
Intervals = Sequence[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Branch:
    """Which frames one libvmaf is given.

    Attributes:
        pick: ffmpeg's expression, above 0 on the chosen frames and their neighbours; "" gives it
            all frames, each of which it then measures.
        is_first: whether it is for frame 0, and measures the frames picked from there on.
    """

    pick: str = ""
    is_first: bool = False

    def filters(
        self,
        k: int,
        feature_set: FeatureSet,
        *,
        threads: int,
        convert: tuple[str, str] = ("", ""),
        ending: str = "",
        encode: Encode | None = None,
    ) -> list[str]:
        """From the graph's `[dk]` and `[rk]` to `[ok]`; libvmaf writes `logk.json`.

        Args:
            k: the branch's number.
            threads: of libvmaf.
            convert: filters for the reference and for the distorted frames, after the choice.
            ending: libvmaf's options for streams of different lengths.
            encode: behind the distorted pictures, where they are scaled.
        """
        pick, step = "null", 1
        if self.is_first:
            pick = f"select='{self.pick}',setpts=N"
        elif self.pick:
            # libvmaf measures frames 0, 3, 6, ...: the first chosen one is to be 3.
            copies = STEP - 1
            pick, step = f"select='{self.pick}',loop=loop={copies}:size=1:start=0,setpts=N", STEP
        options = (
            f"log_fmt=json:log_path=log{k}.json:n_threads={threads}:n_subsample={step}{ending}:"
            f"model=version={feature_set.libvmaf_model}"
        )
        if feature_set.least_bits > 8:
            options += model_options(encode)
        return [
            f"[d{k}]{pick}{convert[1]}[e{k}]",
            f"[r{k}]{pick}{convert[0]}[s{k}]",
            f"[e{k}][s{k}]libvmaf={options},{RUN_THROUGH}[o{k}]",
        ]

    def read(
        self,
        log: Path,
        members: Sequence[int],
        feature_set: FeatureSet,
        encode: Encode | None = None,
    ) -> dict[int, list[float]]:
        """Features by frame of what was chosen, `members`, rising.

        Raises:
            InputError: the log is of other frames, or holds a value that is not finite.
        """
        first, step = (STEP, STEP) if self.pick and not self.is_first else (0, 1)
        keys = libvmaf_keys(feature_set, encode)
        try:
            entries = json.loads(log.read_bytes())["frames"]
            by_number = {int(entry["frameNum"]): entry["metrics"] for entry in entries}
            rows = {
                frame: [float(by_number[first + step * j][key]) for key in keys]
                for j, frame in enumerate(members)
            }
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"libvmaf's log lacks chosen frames ({error}); free space, or drop --within."
            ) from error
        beside = len(by_number) - 1 if self.is_first else first // step
        if len(by_number) != len(members) + beside or not _finite(rows):
            raise InputError("libvmaf's log has other frames than were chosen; drop --within.")
        return rows


FIRST = Branch(f"lt(n,{FIRST_FRAMES})", is_first=True)


def check_branches(feature_set: FeatureSet) -> None:
    """Raises InputError where features of a frame depend on more frames than go in with it."""
    if feature_set.option("motion_five_frame_window"):
        raise InputError(
            f"--within: {feature_set.teacher} takes motion from five frames, so that frames cannot "
            f"be measured apart; drop it, or take a model without hfr in its name."
        )


def _finite(rows: dict[int, list[float]]) -> bool:
    return bool(np.isfinite(list(rows.values())).all())


def expression(intervals: Intervals, variable: str = "n") -> str:
    """ffmpeg's expression that is above 0 within intervals, both ends in; a search tree.

    Args:
        intervals: rising, apart from each other.
        variable: what is looked up, itself an expression.
    """
    if len(intervals) == 1:
        low, high = intervals[0]
        return f"between({variable},{low},{high})"
    middle = len(intervals) // 2
    left, right = (expression(part, variable) for part in (intervals[:middle], intervals[middle:]))
    return f"if(lt({variable},{intervals[middle][0]}),{left},{right})"
