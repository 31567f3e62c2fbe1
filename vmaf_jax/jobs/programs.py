"""Many trainings as few programs: points that share a shape train together, shape after shape.

A point is a problem, a student and settings. Points that differ in what members of one program may
differ in (temperature, rate, decay, dropout) are members of one; each of the others is compiled.
"""

import dataclasses
import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from vmaf_jax.jobs.fit import Fit, fit_folds
from vmaf_jax.jobs.problem import Problem
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.jobs.training_state import KeptState
from vmaf_jax.models import Student
from vmaf_jax.training import TrainingSettings

Key = TypeVar("Key", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Point(Generic[Key]):
    """One training of several: which problem, which student, how."""

    problem: Key
    student: Student
    settings: TrainingSettings


def programs_of(points: Sequence[Point[Key]]) -> list[list[int]]:
    """The numbers of the points that each program trains, in order of appearance."""
    groups: dict[Hashable, list[int]] = {}
    for k, point in enumerate(points):
        shape = point.problem, point.student.shared(), point.settings.shared()
        groups.setdefault(shape, []).append(k)
    return list(groups.values())


def fit_points(
    points: Sequence[Point[Key]],
    problems: Mapping[Key, Problem],
    *,
    state: KeptState | None = None,
    report: Report = silent,
) -> list[Fit]:
    """The fit of each point, alone, in their order.

    Args:
        state: which programs are through already, and where the present one stands.

    Raises:
        InputError: as `fit_folds`.
    """
    fits: dict[int, Fit] = {}
    groups = programs_of(points)
    on_step = report.steps("programs", lambda: len(groups)) or (lambda done: None)
    for number, group in enumerate(groups, 1):
        started = time.perf_counter()
        first = points[group[0]]
        fit = fit_folds(
            *(problems[first.problem], first.student, first.settings),
            points=[points[k].settings for k in group],
            dropouts=[points[k].student.dropout for k in group],
            report=report,
            state=state,
        )
        fits |= {
            k: dataclasses.replace(fit.at(place), student=points[k].student)
            for place, k in enumerate(group)
        }
        on_step(1)
        report.say(f"program {number} of {len(groups)}: {time.perf_counter() - started:.0f} s")
    return [fits[k] for k in range(len(points))]
