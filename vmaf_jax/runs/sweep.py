"""A configuration that tries several values of its settings: every combination, and the best.

combinations -> problems -> few programs -> held-out predictions of each -> ranked -> the best's run
"""

import itertools
import math
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.cross_validation import HeldOut, SweepPoint, SweepTable, pooled_errors
from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import all_metrics
from vmaf_jax.evaluation.run_metrics import compare_runs
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.conclude import conclude, load_external
from vmaf_jax.runs.config import Config, validate, warn_of_recipe
from vmaf_jax.runs.fit import Fit, Point, fit_points
from vmaf_jax.runs.problem import Problem, problem_of
from vmaf_jax.runs.run_folder import Run, write_run
from vmaf_jax.runs.state import open_state

MOST_POINTS = 1000
_PARTS = ("data.", "student.", "training.")  # whose settings a sweep may try
_UNKNOWN = Interval(math.nan, math.nan)


class Tried(NamedTuple):
    """Combinations to train.

    Attributes:
        settings, configs, points: one each, in the order of the configuration.
        problems, others: what they learn from, and external corpora, by a point's `problem`.
    """

    settings: list[dict[str, object]]
    configs: list[Config]
    points: list[Point]
    problems: dict[str, Problem]
    others: dict[str, dict[str, Problem]]


def sweep(config: Config, run_dir: Path, save_every_s: float | None, progress: Progress) -> Run:
    """Trains every combination of a configuration's sweep; the best becomes the run.

    Finished programs are kept beside `run_dir`, so that an interrupted sweep goes on with
    the next.

    Raises:
        InputError: a setting that is none, a combination that does not fit together, or as `train`.
    """
    started = time.perf_counter()
    tried = load_combinations([config], progress)
    with open_state(run_dir, save_every_s, progress, several=True) as state:
        fits = fit_points(tried.points, tried.problems, state=state, progress=progress)
        table = rank_fits(tried, fits)
        best = table.points[0].point
        key = tried.points[best].problem
        run = conclude(
            tried.configs[best],
            tried.problems[key],
            tried.others[key],
            fits[best],
            path=run_dir,
            started=started,
            progress=progress,
            sweep=table,
        )
        write_run(run)
        if state is not None:
            state.remove()
    return run


def take_part_in_sweeps(sweeps: Sequence[Config], save_every_s: float | None) -> None:
    """Trains every combination with the other processes, of which the first writes."""
    tried = load_combinations(sweeps)
    with open_state(None, save_every_s, several=True) as state:
        fit_points(tried.points, tried.problems, state=state)


def load_combinations(sweeps: Sequence[Config], progress: Progress = NO_PROGRESS) -> Tried:
    """Loads what every combination learns from, each problem once.

    Raises:
        InputError: a combination that does not fit together, or as `load_problem`.
    """
    tried = [combination for sweep in sweeps for combination in combinations(sweep)]
    problems: dict[str, Problem] = {}
    others: dict[str, dict[str, Problem]] = {}
    points = []
    for _, variant in tried:
        key = f"{variant.data.model_dump_json()} in {variant.training.folds} folds"
        if key not in problems:
            problems[key] = problem_of(variant, progress)
            problems[key].check_folds()
            others[key] = load_external(variant, problems[key], progress)
        points.append(Point(key, variant.make_student(), variant.training))
    settings, configs = [entry for entry, _ in tried], [variant for _, variant in tried]
    return Tried(settings, configs, points, problems, others)


def combinations(config: Config) -> list[tuple[dict[str, object], Config]]:
    """Returns the settings of each point of a sweep, and the configuration that they make.

    Raises:
        InputError: a setting that is none, a combination that does not fit together, too many.
    """
    count = math.prod(len(values) for values in config.sweep.values())
    if count > MOST_POINTS:
        raise InputError(
            f"sweep: {count} combinations, at most {MOST_POINTS} are tried; drop some."
        )
    for key in config.sweep:
        if not key.startswith(_PARTS):
            raise InputError(
                f"sweep: {key!r} cannot be tried; name a setting of data, student or training, "
                f"such as training.temperature."
            )
    points = []
    for values in itertools.product(*config.sweep.values()):
        settings = dict(zip(config.sweep, values, strict=True))
        document = config.model_dump(mode="json", exclude={"sweep"})
        for key, value in settings.items():
            _set(document, key, value)
        where = ", ".join(f"{key}={value}" for key, value in settings.items())
        points.append((settings, validate(Config, document, Path(f"sweep at {where}"))))
    return points


def recipe_warnings(configs: Iterable[Config]) -> list[str]:
    """Returns `warn_of_recipe` of every point of some configurations, each warning once."""
    points = (point for config in configs for _, point in combinations(config))
    return list(dict.fromkeys(filter(None, map(warn_of_recipe, points))))


def _set(document: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        document = document[parent]
        if not isinstance(document, dict):
            raise InputError(f"sweep: {key!r} is no setting; {parent} holds no keys.")
    document[last] = value


def rank_fits(tried: Tried, fits: Sequence[Fit]) -> SweepTable:
    """Ranks the fits of all combinations by held-out RMSE."""
    held_out = [
        fit.held_out(tried.problems[point.problem])
        for fit, point in zip(fits, tried.points, strict=True)
    ]
    n_params = [fit.student.n_params() for fit in fits]
    return ranked(tried.settings, n_params, held_out, same_rows=len(tried.problems) == 1)


def ranked(
    settings: Sequence[dict[str, object]],
    n_params: Sequence[int],
    held_out: Sequence[HeldOut],
    *,
    same_rows: bool,
) -> SweepTable:
    """Ranks the points by held-out RMSE, those that diverged last."""
    rmse = [all_metrics(rows.predicted, rows.label).rmse for rows in held_out]
    sound = [k for k, value in enumerate(rmse) if math.isfinite(value)]
    order = sorted(range(len(rmse)), key=lambda k: (k not in sound, rmse[k], k))
    against = {}
    if same_rows and len(sound) > 1:
        ordered = [k for k in order if k in sound]
        against = compare_runs({str(k): held_out[k] for k in ordered}).against
    points = []
    for rank, k in enumerate(order, 1):
        difference = against[str(k)]["rmse"] if str(k) in against else None
        points.append(
            SweepPoint(
                rank=rank,
                point=k,
                settings=settings[k],
                n_params=n_params[k],
                metrics=all_metrics(held_out[k].predicted, held_out[k].label),
                rmse_interval=pooled_errors(held_out[k]).rmse_interval if k in sound else _UNKNOWN,
                above_best=math.nan if difference is None else difference.difference,
                above_best_interval=_UNKNOWN if difference is None else difference.interval,
            )
        )
    return SweepTable(tuple(points), same_rows, tuple(held_out))
