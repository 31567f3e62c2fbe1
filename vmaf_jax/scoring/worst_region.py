"""The region of a clip's pictures that departs most from the rest, as a result shows it."""

import dataclasses

from vmaf_jax.reporting.numbers import format_time


@dataclasses.dataclass(frozen=True)
class WorstRegion:
    """The part of a frame whose error departs most from the rest of its frame.

    Attributes:
        frame: Its number, as in the table.
        time: When that frame begins in the reference, seconds; None where it has no rate.
        box: Left, top, width and height, pixels of the reference; as `--region` takes them.
        score: Of the model, for this part of this frame, VMAF points; None where the model takes no
            pictures so small.
        frame_score: Of the whole frame.
        stands_out: Whether the error is visible, and a multiple of what the frame has elsewhere.
    """

    frame: int
    time: float | None
    box: tuple[int, int, int, int]
    score: float | None
    frame_score: float
    stands_out: bool

    @property
    def region(self) -> str:
        """The box as `--region` takes it."""
        return ",".join(map(str, self.box))

    def sentence(self) -> str:
        """Returns the region in words."""
        when = f"frame {self.frame}"
        if self.time is not None:
            when += f" at {format_time(self.time)}"
        if not self.stands_out:
            return f"no region stands out; {self.region} of {when} departs most"
        points = "" if self.score is None else f" scores {self.score:.2f}"
        return (
            f"worst region: {self.region} of {when}{points}, the frame {self.frame_score:.2f}; "
            f"it stands out, look at it"
        )
