"""How two videos may be compared: what is allowed where they differ in shape, time or soundness.

The defaults refuse whatever could make a score mean something else than people think it means.
"""

import dataclasses
from typing import Any, TypedDict

from vmaf_jax.errors import InputError

SCALES = ("stretch", "pad", "crop")
MAX_OFFSET = 100_000  # frames
SYNC_REACH = 60  # frames each way that `sync="auto"` looks at


class ComparisonOptions(TypedDict, total=False):
    """The attributes of `Comparison`, as functions take them by keyword."""

    shortest: bool
    force: bool
    scale: str | None
    fps: str | None
    sync: str | None
    offset: int
    allow_damaged: bool


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is allowed in a comparison.

    Attributes:
        shortest: stop at the end of the shorter video instead of refusing unequal lengths.
        force: measure pairs whose score means little (HDR against SDR, say) all the same.
        scale: how a distorted video of another display aspect ratio is brought to the reference's
            picture: `stretch`, `pad` (black bars) or `crop`; None refuses it.
        fps: `match` pairs frames by time stamp at the reference's rate; None pairs by number and
            refuses other rates.
        sync: `auto` finds by luma how many frames the distorted video starts late or early.
        offset: how many frames the distorted video starts late (early, below zero); frames that
            only one of the two has are left out.
        allow_damaged: measure what the decoder makes of damaged streams; its frames are named.

    Raises:
        InputError: a value is unknown, or two exclude each other.
    """

    shortest: bool = False
    force: bool = False
    scale: str | None = None
    fps: str | None = None
    sync: str | None = None
    offset: int = 0
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("scale", SCALES), ("fps", ("match",)), ("sync", ("auto",))):
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise InputError(f"--{name} {value}: expected {' or '.join(allowed)}.")
        if isinstance(self.offset, bool) or not isinstance(self.offset, int):
            raise InputError(f"--offset {self.offset}: expected a whole number of frames.")
        if abs(self.offset) > MAX_OFFSET:
            raise InputError(f"--offset {self.offset}: at most {MAX_OFFSET} frames each way.")
        if self.sync and self.offset:
            raise InputError("--sync finds the offset that --offset sets; drop one of them.")

    @property
    def aligned(self) -> bool:
        """Whether lengths may differ, since only what both have is measured."""
        return self.shortest or bool(self.offset or self.sync)

    def settings(self) -> dict[str, Any]:
        """What it adds to a cache entry's name: every value that is not the default."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "shortest" and getattr(self, field.name) != field.default
        }


def comparison_of(options: ComparisonOptions) -> Comparison:
    """The comparison that keyword arguments describe.

    Raises:
        TypeError: an option is unknown.
        InputError: as `Comparison`.
    """
    return Comparison(**options)


DEFAULT_COMPARISON = Comparison()
