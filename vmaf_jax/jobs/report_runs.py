"""The job `report`: the page of a run, or a page that compares several."""

from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.files import check_output, write_bytes, write_text
from vmaf_jax.reporting.comparison_page import comparison_page
from vmaf_jax.reporting.run_page import run_page
from vmaf_jax.reporting.run_view import RunView
from vmaf_jax.runs.locate import checkpoints, find_run
from vmaf_jax.runs.run_folder import read_run


def report(runs: Sequence[str | Path], out: Path | None = None, *, png: Path | None = None) -> Path:
    """Writes the page of a run, or of the comparison of several, the first being the standard.

    Args:
        runs: Run folders or shipped names.
        out: The `.html` file; by default `report.html` in the run's folder, `<name>.html` here for
            a shipped name, `comparison.html` here for several.
        png: A picture of the held-out agreement of one run, for a README.

    Returns:
        The page's file.

    Raises:
        InputError: A folder is no run, its predictions are missing or damaged, the runs have no
            rows in common or other labels, or a file cannot be written.
    """
    if not runs:
        raise InputError("no run to report on; name at least one run folder.")
    if png is not None and len(runs) > 1:
        raise InputError("--png draws one run; name one.")
    folders = [find_run(str(run)) for run in runs]
    target = out or _default_page(folders)
    inputs = [folder / "folds.parquet" for folder in folders]  # a page must not replace one
    check_output(target, ".html", inputs)
    if png is not None:
        check_output(png, ".png", inputs)
    for folder in folders:
        if folder.parent == checkpoints() and not (folder / "folds.parquet").is_file():
            raise InputError(
                f"{folder.name}: shipped without held-out predictions, because they would repeat "
                f"the votes that it learnt from; {folder / 'card.md'} has its figures."
            )
    views = [read_run(folder) for folder in folders]
    if len(views) > 1:
        write_text(target, comparison_page(_name_views(views, folders)))
        return target
    write_text(target, run_page(views[0]))
    if png is not None:
        from vmaf_jax.reporting.plots import plot_agreement

        write_bytes(png, plot_agreement(views[0].held_out, "held-out sources"))
    return target


def _default_page(folders: Sequence[Path]) -> Path:
    if len(folders) > 1:
        return Path("comparison.html")
    shipped = folders[0].parent == checkpoints()
    return Path(f"{folders[0].name}.html") if shipped else folders[0] / "report.html"


def _name_views(views: Sequence[RunView], folders: Sequence[Path]) -> dict[str, RunView]:
    """Returns the runs by name, or by folder where two have one name."""
    names = [view.name for view in views]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"{folders[0]}: named twice; a run is not compared with itself.")
    return dict(zip(names, views, strict=True))
