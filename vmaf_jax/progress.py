"""Progress of a long job: its stages, the clips it measures, the pieces that are done."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Receives the progress of a job; the caller decides what is displayed, and where."""

    def say(self, text: str) -> None:
        """Receives the name of a stage that begins, or a remark, in one line."""

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Begins a count of measured clips; the result is called with the frames of each."""

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Begins a count of `total()` pieces of work, None where that number is unknown.

        Returns a function to call with how many more are done; None where nothing is displayed,
        and then `total`, which may cost a run of ffmpeg, is not evaluated.
        """


class NullProgress:
    """Displays nothing."""

    def say(self, text: str) -> None:
        """Does nothing."""

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Returns a function that does nothing."""
        return lambda frames: None

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Returns None: no progress is displayed."""
        return None


NO_PROGRESS = NullProgress()
