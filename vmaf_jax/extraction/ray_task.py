"""What a node of a cluster does: says what it measures with, and measures one clip."""

import dataclasses
import socket
from collections.abc import Callable
from typing import TypeVar

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.environment import __version__
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.api import extract_one
from vmaf_jax.extraction.parts import LongClip, Part, look, measure_part
from vmaf_jax.extraction.request import Outcome, Pair, Request
from vmaf_jax.extraction.shards import Shard, Work, measure_shard, sound_shard
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.video.ffmpeg import find_ffmpeg

Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Tools:
    """What measurements depend on beside clips and settings, the same on every node."""

    ffmpeg: str
    vmaf_jax: str = __version__

    def __str__(self) -> str:
        return f"ffmpeg {self.ffmpeg} and vmaf-jax {self.vmaf_jax}"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """Why a node may measure nothing, in one line."""

    reason: str


def own_tools() -> Tools:
    """Those of this machine.

    Raises:
        InputError: it has no ffmpeg with libvmaf.
    """
    return Tools(find_ffmpeg().version)


def check_node(expected: Tools) -> Refusal | None:
    """Why this node may not measure beside those that have the `expected` tools; None if it may."""
    try:
        tools = own_tools()
    except InputError as error:
        return Refusal(f"node {socket.gethostname()}: {error}")
    if tools != expected:
        return Refusal(
            f"node {socket.gethostname()} has {tools}, this machine {expected}; results of two "
            f"versions are not mixed, install the same on both or take the node out."
        )
    return None


def measure_on_node(
    clip: Clip, work: Work, expected: Tools
) -> Shard | LongClip | InputError | Refusal:
    """The shard of a clip, or that it is long and to be measured in parts, or why neither."""

    def answer() -> Shard | LongClip:
        shard = sound_shard(clip, work)
        if isinstance(shard, Shard):
            return shard
        return look(clip, work, shard) or measure_shard(clip, work, shard)

    return _answered(answer, expected)


def measure_part_on_node(
    part: Part, request: Request, expected: Tools
) -> FeatureTable | InputError | Refusal:
    """The rows of a part of a clip, or why there are none."""
    return _answered(lambda: measure_part(part, request), expected)


def table_on_node(pair: Pair, request: Request, expected: Tools) -> Outcome | Refusal:
    """The table of a pair, which stays in the node's cache too, or why there is none."""
    return _answered(lambda: extract_one(pair, request), expected)


def _answered(answer: Callable[[], Answer], expected: Tools) -> Answer | InputError | Refusal:
    """What a node that may measure answers, or why it has no answer."""
    if (refusal := check_node(expected)) is not None:
        return refusal
    try:
        return answer()
    except InputError as error:
        return InputError(str(error))  # without its causes, which may not travel
