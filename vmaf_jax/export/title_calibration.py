"""What votes on titles made of a model: the entry of its sidecar. No viewer is in it."""

import dataclasses
from typing import Annotated

import pydantic

from vmaf_jax.evaluation.title_process import COMPARED, Hyperparameters
from vmaf_jax.evaluation.vote_curve import KNOTS

Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Positive = Annotated[float, pydantic.Field(allow_inf_nan=False, gt=0)]
Points = Annotated[float, pydantic.Field(ge=0, le=100)]


class TitleEntry(pydantic.BaseModel, frozen=True):
    """A title of the table, known again by `motion2`, which is of its reference alone."""

    source: str
    motion2: Annotated[float, pydantic.Field(allow_inf_nan=False, ge=0)]
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
    title: Annotated[int, pydantic.Field(ge=0)]
    expected: Points
    compared: Annotated[
        list[Number], pydantic.Field(min_length=len(COMPARED), max_length=len(COMPARED))
    ]
    mos: Points
    variance: Positive
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
    panel: Positive
    titles: list[TitleEntry]
    rated: Annotated[list[RatedEntry], pydantic.Field(min_length=1)]
    curve: Annotated[list[Points], pydantic.Field(min_length=len(KNOTS), max_length=len(KNOTS))]
    judged_on: str
    centre: Number | None = None
    width: Positive | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> "TitleCalibration":
        if max(entry.title for entry in self.rated) >= len(self.titles):
            raise ValueError("a rated clip is of no title")
        if not all(0 < value < 1e6 for value in dataclasses.astuple(self.hyperparameters)):
            raise ValueError("a hyperparameter is not above 0")
        return self
