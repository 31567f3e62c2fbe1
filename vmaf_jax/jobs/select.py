"""`vmaf-jax select`: which network and which training, by held-out error and size."""

import contextlib
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml

from vmaf_jax.evaluation.cross_validation import SweepPoint, SweepTable
from vmaf_jax.files import atomic_path, claim_result_folder, read_yaml, to_json, write_text
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.reporting.page import markdown_table, page, section, table, text
from vmaf_jax.runs.config import Config, DataConfig, StudentConfig, find_config, validate
from vmaf_jax.runs.fit import fit_points
from vmaf_jax.runs.state import open_state
from vmaf_jax.runs.sweep import (
    Tried,
    combinations,
    load_combinations,
    rank_fits,
    recipe_warnings,
    take_part_in_sweeps,
)
from vmaf_jax.training.settings import TrainingSettings

VISIBLE = 0.1  # VMAF points; a smaller difference in RMSE is not worth parameters


class Candidates(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Students that differ in the settings of a sweep.

    Attributes:
        student, training, sweep: As in the configuration of a run.
    """

    student: StudentConfig = StudentConfig()
    training: TrainingSettings = TrainingSettings()
    sweep: dict[str, tuple[Any, ...]] = {}


class SelectionConfig(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Candidates, by a name that the report shows, and the rows that all of them learn from."""

    name: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    data: DataConfig = DataConfig()
    candidates: Annotated[dict[str, Candidates], pydantic.Field(min_length=1)]

    def sweeps(self) -> list[Config]:
        """Returns the configuration of each group of candidates.

        Raises:
            InputError: Settings that do not fit together.
        """
        common = {"name": self.name, "data": self.data.model_dump()}
        return [
            validate(Config, common | group.model_dump(), Path(f"candidates {name!r}"))
            for name, group in self.candidates.items()
        ]


def load_selection(path: Path) -> SelectionConfig:
    """Reads and validates a selection, a file or the name of a shipped one.

    Raises:
        InputError: As for any configuration.
    """
    selection = validate(SelectionConfig, read_yaml(find_config(path)), path)
    for sweep in selection.sweeps():
        combinations(sweep)  # settings that clash are refused before any work
    return selection


@dataclasses.dataclass(frozen=True)
class Selection:
    """Ranked candidates, the one to ship, and why."""

    table: SweepTable
    chosen: SweepPoint
    reason: str

    def to_dict(self) -> dict[str, object]:
        """Returns the figures as `selection.json` has them."""
        choice = {"point": self.chosen.point, "reason": self.reason}
        return {**self.table.to_dict(), "choice": choice}

    def __str__(self) -> str:
        rmse = self.chosen.metrics.rmse
        return f"{format_settings(self.chosen)}: held-out RMSE {rmse:.4f}; {self.reason}"


def select(
    config: SelectionConfig,
    out: Path,
    *,
    overwrite: bool = False,
    save_every_s: float | None = None,
    progress: Progress = NO_PROGRESS,
) -> Selection:
    """Trains every candidate and writes their figures, a report and all predictions to `out`.

    Args:
        overwrite: Replaces an earlier selection in `out`.
        save_every_s: Seconds between saved states of the program that trains. Finished programs are
            kept beside `out` in any case, and an interrupted selection goes on with the next.

    Raises:
        InputError: The rows cannot be had, or `out` cannot be written.
    """
    with contextlib.ExitStack() as claims:
        claims.enter_context(claim_result_folder(out, "selection.json", overwrite=overwrite))
        for warning in recipe_warnings(config.sweeps()):
            progress.say(warning)
        tried = load_combinations(config.sweeps(), progress)
        state = claims.enter_context(open_state(out, save_every_s, progress, several=True))
        fits = fit_points(tried.points, tried.problems, state=state, progress=progress)
        selection = choose(rank_fits(_name_groups(config, tried), fits))
        with atomic_path(out.absolute()) as folder:
            folder.mkdir()
            document = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            write_text(folder / "config.yaml", document)
            write_text(folder / "selection.json", to_json(selection.to_dict()))
            selection.table.write_predictions(folder / "predictions.parquet")
            write_text(folder / "report.md", render_markdown(selection))
            write_text(folder / "report.html", render_html(selection))
        if state is not None:
            state.remove()
    return selection


def take_part(config: SelectionConfig, *, save_every_s: float | None = None) -> None:
    """Trains the candidates with the other processes, of which the first writes the result."""
    take_part_in_sweeps(config.sweeps(), save_every_s)


def _name_groups(config: SelectionConfig, tried: Tried) -> Tried:
    """Returns the combinations, with the name of each one's group among its settings."""
    groups = [
        name
        for name, group in config.candidates.items()
        for _ in range(math.prod(len(values) for values in group.sweep.values()))
    ]
    settings = [
        {"candidates": name, **own} for name, own in zip(groups, tried.settings, strict=True)
    ]
    return tried._replace(settings=settings)


def choose(table: SweepTable) -> Selection:
    """Chooses the smallest candidate among those whose error is as good as the lowest."""
    best = table.points[0]
    near = [p for p in table.points if p.metrics.rmse - best.metrics.rmse < VISIBLE] or [best]
    chosen = min(near, key=lambda point: (point.n_params, point.metrics.rmse))
    reason = (
        f"among the candidates within {VISIBLE} points of the lowest held-out RMSE "
        f"({format_settings(best)}: {best.metrics.rmse:.4f}) it has the fewest parameters "
        f"({chosen.n_params})"
    )
    return Selection(table, chosen, reason)


def format_settings(point: SweepPoint) -> str:
    """Formats the settings of a candidate: its group, then what varies in it."""
    group, *varied = point.settings.items()
    return ", ".join([str(group[1]), *(f"{key.split('.')[-1]} {value}" for key, value in varied)])


_HEADER = ("candidate", "parameters", "PLCC", "RMSE", "95 % interval", "above the best", "max")
_NOTE = (
    "Held out: every source by students that never saw it, all seeds together; VMAF points. "
    "Intervals are over sources, differences from the best are paired. Choosing by these very "
    "predictions favours the choice a little."
)


def _rows(points: Sequence[SweepPoint]) -> list[list[str]]:
    return [
        [
            format_settings(point),
            str(point.n_params),
            f"{point.metrics.plcc:.5f}",
            f"{point.metrics.rmse:.4f}",
            f"{point.rmse_interval.low:.4f} to {point.rmse_interval.high:.4f}",
            "" if point.rank == 1 else f"{point.above_best:.4f}",
            f"{point.metrics.max_abs:.3f}",
        ]
        for point in points
    ]


def render_markdown(selection: Selection) -> str:
    """Renders `report.md`: the choice, and every candidate, the best first."""
    rows = markdown_table(_HEADER, _rows(selection.table.points))
    lines = ["# Selection", "", f"{selection}.", "", _NOTE, "", *rows]
    return "\n".join(lines) + "\n"


def render_html(selection: Selection) -> str:
    """Renders `report.html`, which says the same."""
    rows = table(_HEADER, _rows(selection.table.points))
    choice, note = text(f"{selection}.", 1000), text(_NOTE, 1000)
    body = [
        section("choice", "Choice", [f"<p>{choice}</p>"]),
        section("candidates", "Candidates", [f"<p>{note}</p>", rows]),
    ]
    return page("Selection", body)
