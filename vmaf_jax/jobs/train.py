"""`vmaf-jax train`: a configuration to a verified model in a run folder.

data -> folds -> all folds and the final fit in one program -> held-out metrics -> external
     -> ONNX -> parity -> run folder
"""

import contextlib
import time
from pathlib import Path

from vmaf_jax.environment import several_processes
from vmaf_jax.errors import InputError
from vmaf_jax.export.parity import check_parity
from vmaf_jax.files import check_result_folder
from vmaf_jax.jobs.conclude import conclude, load_external
from vmaf_jax.jobs.config import Config
from vmaf_jax.jobs.fit import Fit, fit_folds
from vmaf_jax.jobs.problem import Problem, load_problem
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.jobs.run_folder import Run, write_run
from vmaf_jax.jobs.streamed import StreamedProblem, fit_streamed, load_streamed
from vmaf_jax.jobs.sweep import fit_combinations, sweep
from vmaf_jax.jobs.training_state import TrainingState


def take_part(config: Config) -> None:
    """Trains with the other processes of a distributed training, of which the first writes.

    Raises:
        InputError: as `train`.
    """
    if config.sweep:
        fit_combinations(config)
        return
    _fit(_load(config, silent), config, None, silent)


def train(
    config: Config, run_dir: Path, *, save_every_s: float | None = None, report: Report = silent
) -> Run:
    """Trains a student, cross-validates it over whole sources, exports it, and proves the export.

    Args:
        config: the run; where it sweeps settings, the best of their combinations becomes the run.
        run_dir: the folder, replaced if it is an earlier run's; written whole or not at all.
        save_every_s: how often the training's state is saved, beside `run_dir`; None for never. A
            training that was interrupted goes on from its newest sound state.
        report: told of each stage.

    Returns:
        The run, as it lies in its folder.

    Raises:
        InputError: bad data, a bad setting, or a place that cannot be written.
        GateError: parity missed its limit; the run folder is written all the same.
    """
    started = time.perf_counter()
    check_result_folder(run_dir, "metrics.json")
    if config.sweep:
        run = sweep(config, run_dir, save_every_s, report)
        check_parity(run.parity)
        return run
    problem = _load(config, report)
    problem.check_folds()
    others = load_external(config, problem, report)  # before training: a missing one costs nothing
    with contextlib.ExitStack() as open_state:
        state = None
        if save_every_s is not None:
            state = open_state.enter_context(TrainingState(run_dir, save_every_s, report))
        fit = _fit(problem, config, state, report)
        about = (config, problem, others, fit)
        run = conclude(*about, path=run_dir, started=started, report=report)
        write_run(run)
        if state is not None:
            state.remove()
    check_parity(run.parity)
    return run


def _load(config: Config, report: Report) -> Problem:
    if config.data.buffer_rows is None:
        return load_problem(config.data, report, folds=config.training.folds)
    if several_processes():
        raise InputError("data.buffer_rows: streamed training is of one process; drop it.")
    return load_streamed(config, report)


def _fit(problem: Problem, config: Config, state: TrainingState | None, report: Report) -> Fit:
    student, settings = config.make_student(), config.training
    if isinstance(problem, StreamedProblem):
        if state is not None:
            raise InputError(
                "data.buffer_rows: streamed training saves no state; drop --save-every."
            )
        return fit_streamed(problem, student, settings, report=report)
    return fit_folds(problem, student, settings, report=report, state=state)
