"""How a student is trained; every default once."""

from typing import Annotated, Literal

import pydantic

from vmaf_jax.printable import format_count

_STEPS = 1500
OF_MEMBERS = ("temperature", "learning_rate", "weight_decay")


class TrainingSettings(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Optimiser, loss and length of one training.

    Attributes:
        optimiser: `adamw`, `adam` (without weight decay), or `levenberg_marquardt`, for networks of
            a few hundred parameters (`rbf`), which has no rate, decay or dropout.
        folds: of a cross-validation, each of whole sources and of about as many rows; without it,
            every source is a fold of its own (leave-one-source-out).
        strategy: `rows` trains on the table's rows, all of them in every step or, with
            `batch_size`, that many drawn anew; `teacher_queries` asks the teacher about
            `batch_size` new feature vectors in every step.
        steps: of one training; 1500 where neither these nor `epochs` are set.
        epochs: in place of steps, with strategy `rows` and a `batch_size`: each visits every
            training row once, in a new order.
        learning_rate: the highest.
        schedule: of the rate: `cosine` rises first and falls in a cosine to 0, or `constant`.
        warmup_fraction: of the steps, in which the rate of `cosine` rises.
        weight_decay: AdamW's.
        second_moment_decay: of squared gradients; by default 0.99, 0.999 with `adam`.
        batch_size: rows or queries a step; by default all rows.
        loss: `squared_error`; `huber`, which bounds the pull of mislabelled and mismeasured clips;
            or `kl` on a distribution over quality bins.
        temperature: of `kl`; no unit.
        sigma: of `kl`, the width of the teacher's distribution, VMAF points.
        seeds: each is a cross-validation of its own; the final fit takes the first.
        start: of clips with opinion scores, the student (shipped, or a run folder) whose numbers
            training starts from.
        anchor: the weight of the parameters' squared distance from where they started, in the loss.
        interval_weights: trust clips by the width of their MOS intervals.
        experiment_effects: fit an offset and a gain to each experiment, which are dropped in use.
    """

    optimiser: Literal["adamw", "adam", "levenberg_marquardt"] = "adamw"
    strategy: Literal["rows", "teacher_queries"] = "rows"

    steps: int | None = pydantic.Field(default=_STEPS, ge=1, le=1_000_000)
    # Not written where it is not set, so that the digests of earlier configurations hold.
    epochs: int | None = pydantic.Field(
        default=None, ge=1, le=100_000, exclude_if=lambda epochs: epochs is None
    )
    learning_rate: float = pydantic.Field(default=2e-2, gt=0, le=1)
    schedule: Literal["cosine", "constant"] = pydantic.Field(
        default="cosine", exclude_if=lambda schedule: schedule == "cosine"
    )
    warmup_fraction: float = pydantic.Field(default=0.05, ge=0, lt=1)
    weight_decay: float = pydantic.Field(default=1e-3, ge=0, le=1)
    second_moment_decay: float = pydantic.Field(default=0.99, gt=0, lt=1)
    batch_size: int | None = pydantic.Field(default=None, ge=1, le=1_000_000)
    loss: Literal["squared_error", "huber", "kl"] = "squared_error"
    temperature: float = pydantic.Field(default=1.0, gt=0)  # no unit; kl only
    sigma: float = pydantic.Field(default=3.0, ge=2 / 1.4, le=10)  # VMAF points; kl only
    seeds: tuple[Annotated[int, pydantic.Field(ge=0, lt=2**31)], ...] = pydantic.Field(
        default=(0,), min_length=1
    )
    # Not written where it is not set, so that the digests of earlier configurations hold.
    folds: int | None = pydantic.Field(
        default=None, ge=2, le=10_000, exclude_if=lambda folds: folds is None
    )

    start: str | None = None
    anchor: float = pydantic.Field(default=0.0, ge=0, le=1e3)
    interval_weights: bool = False
    experiment_effects: bool = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _fill_in_what_follows(cls, values: object) -> object:
        """Sets the defaults that depend on other settings, and resolves steps and epochs to one."""
        if not isinstance(values, dict):
            return values
        filled = dict(values)
        if filled.get("epochs") is not None:
            if filled.get("steps") is not None:
                raise ValueError("steps and epochs exclude each other; drop one of them")
            filled["steps"] = None
        elif filled.get("steps", _STEPS) is None:
            filled["steps"] = _STEPS
        if filled.get("optimiser") == "adam":
            filled.setdefault("second_moment_decay", 0.999)
        return filled

    @pydantic.model_validator(mode="after")
    def _settings_fit_together(self) -> "TrainingSettings":
        if self.strategy == "teacher_queries" and self.batch_size is None:
            raise ValueError("teacher_queries needs a batch_size, such as 256")
        if self.epochs is not None and self.strategy != "rows":
            raise ValueError("teacher_queries draws new rows in every step; set steps, not epochs")
        if self.epochs is not None and self.batch_size is None:
            raise ValueError("epochs need a batch_size, such as 256; all rows at once are steps")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ from each other")
        if self.optimiser == "levenberg_marquardt" and self.loss != "squared_error":
            raise ValueError("levenberg_marquardt minimises squared_error alone")
        if self.optimiser == "levenberg_marquardt" and (self.anchor or self.experiment_effects):
            raise ValueError("levenberg_marquardt has no anchor and no experiment_effects")
        return self

    def shared(self) -> "TrainingSettings":
        """Returns these settings without those that members of a program may differ in."""
        defaults = {name: type(self).model_fields[name].default for name in OF_MEMBERS}
        return self.model_copy(update=defaults)

    @property
    def length(self) -> str:
        """Steps or epochs, for people."""
        if self.epochs is not None:
            return format_count(self.epochs, "epoch")
        return format_count(self.steps or 0, "step")

    @property
    def head(self) -> str:
        """The head this loss trains."""
        return "distribution" if self.loss == "kl" else "scalar"
