"""What votes on titles made of a model: the entry of its sidecar. No viewer is in it."""

import pydantic

from vmaf_jax.evaluation.title_process import Hyperparameters


class TitleEntry(pydantic.BaseModel, frozen=True):
    """A title of the table, known again by `motion2`, which is of its reference alone."""

    source: str
    motion2: float
    experiment: str | None = None


class RatedEntry(pydantic.BaseModel, frozen=True):
    """A clip that people rated; points of 0-100 but for `compared`.

    Attributes:
        title: Its place among the titles.
        expected: Votes by the logistic.
        compared: Its mean features in the units of the process.
        mos, variance: Of the mean over `viewers`, where their number is known.
    """

    clip: str
    title: int
    expected: float
    compared: list[float]
    mos: float
    variance: float
    viewers: int | None = None


class TitleCalibration(pydantic.BaseModel, frozen=True):
    """A model calibrated by votes on titles.

    Attributes:
        base: File of the model beneath, in the same folder.
        base_name: Its name.
        centre, width: Of the logistic, VMAF points; None for a model of votes.
        panel: Variance of a mean over viewers as those who rated, points squared.
        curve: Votes at the knots of `evaluation.vote_curve`, points.
        judged_on: What the process was judged on, in a sentence.
    """

    base: str
    base_name: str
    hyperparameters: Hyperparameters
    panel: float
    titles: list[TitleEntry]
    rated: list[RatedEntry]
    curve: list[float]
    judged_on: str
    centre: float | None = None
    width: float | None = None
