"""How a job tells people what it is doing; what is shown, and where, is the caller's affair."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class Report(Protocol):
    """Told of each stage, of each clip that is measured, and of each piece of longer work."""

    def say(self, text: str) -> None:
        """A stage begins, in one line for people."""

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """An extraction of `clips` begins; the result is called with the frames of each."""

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Work of so many pieces begins, None where that is unknown.

        The result is called with how many more are done; None where nobody is shown, and then
        `total` is not asked.
        """


class Silence:
    """A report that nobody hears."""

    def say(self, text: str) -> None:
        """Nothing."""

    def clips(self, clips: Sequence[object]) -> Callable[[int], None]:
        """Nothing, for each clip."""
        return lambda frames: None

    def steps(self, name: str, total: Callable[[], int | None]) -> Callable[[int], None] | None:
        """Nobody is shown."""
        return None


silent = Silence()
