"""`vmaf-jax train`: a configuration to a verified model in a run folder.

data -> folds -> all folds and the final fit by one engine -> held-out metrics -> external
     -> ONNX -> parity -> run folder
"""

import time
from pathlib import Path

from vmaf_jax.export.parity import check_parity
from vmaf_jax.files import claim_result_folder
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.runs.conclude import conclude, load_external
from vmaf_jax.runs.config import Config
from vmaf_jax.runs.fit import fit_folds
from vmaf_jax.runs.problem import problem_of
from vmaf_jax.runs.run_folder import Run, write_run
from vmaf_jax.runs.state import open_state
from vmaf_jax.runs.sweep import recipe_warnings, sweep, take_part_in_sweeps


def take_part(config: Config, *, save_every_s: float | None = None) -> None:
    """Trains with the other processes of a distributed training, of which the first writes.

    Args:
        save_every_s: as for `train`; the same in every process.

    Raises:
        InputError: as `train`.
    """
    if config.sweep:
        take_part_in_sweeps([config], save_every_s)
        return
    problem = problem_of(config)
    with open_state(None, save_every_s) as state:
        fit_folds(problem, config.make_student(), config.training, state=state)


def train(
    config: Config,
    run_dir: Path,
    *,
    overwrite: bool = False,
    save_every_s: float | None = None,
    progress: Progress = NO_PROGRESS,
) -> Run:
    """Trains a student, cross-validates it over whole sources, exports it, and proves the export.

    Args:
        config: the run; where it sweeps settings, the best of their combinations becomes the run.
        run_dir: the folder, written whole or not at all.
        overwrite: whether an earlier run there is replaced.
        save_every_s: how often the training's state is saved, beside `run_dir`; None for never. A
            training that was interrupted goes on from its newest sound state.
        progress: receives each stage.

    Returns:
        The run, as it lies in its folder.

    Raises:
        InputError: bad data, a bad setting, an earlier run there, or a place that cannot be
            written.
        GateError: parity missed its limit; the run folder is written all the same.
    """
    started = time.perf_counter()
    with claim_result_folder(run_dir, "metrics.json", overwrite=overwrite):
        run = _train(config, run_dir, started, save_every_s, progress)
    check_parity(run.parity)
    return run


def _train(
    config: Config,
    run_dir: Path,
    started: float,
    save_every_s: float | None,
    progress: Progress,
) -> Run:
    for warning in recipe_warnings([config]):
        progress.say(warning)
    if config.sweep:
        return sweep(config, run_dir, save_every_s, progress)
    problem = problem_of(config, progress)
    problem.check_folds()
    # Loaded before training, so that a missing corpus costs no training.
    others = load_external(config, problem, progress)
    with open_state(run_dir, save_every_s, progress) as state:
        student = config.make_student()
        fit = fit_folds(problem, student, config.training, progress=progress, state=state)
        run = conclude(
            config, problem, others, fit, path=run_dir, started=started, progress=progress
        )
        write_run(run)
        if state is not None:
            state.remove()
    return run
