"""A model of opinions in every subjective test, in Markdown, on the votes' own scale."""

from vmaf_jax.evaluation.by_experiment import Experiments, mean_bias
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.tables.opinions import LabelScale


def experiment_lines(experiments: Experiments | None, scale: LabelScale) -> list[str]:
    """Returns the section of a card; no lines where there are no tests.

    Args:
        scale: the worst and the best vote, of which errors are given.
    """
    if experiments is None:
        return []
    votes = (scale[1] - scale[0]) / 100.0
    bias = votes * mean_bias(experiments.agreement, experiments.model)
    return [
        "## Every test",
        "",
        f"Held out by source, votes of {scale[0]:g} to {scale[1]:g}: unmapped (bias, RMSE) "
        f"and after a line fitted to the test (mapped), which every row is given. The size of the "
        f"bias is {bias:.2f} votes on average over tests.",
        "",
        *agreement_table(experiments, scale),
        "",
        *verdict_lines(experiments, votes),
        "",
    ]


def agreement_table(experiments: Experiments, scale: LabelScale) -> list[str]:
    """Returns the table of every model in every test.

    Args:
        scale: the worst and the best vote, of which errors are given.
    """
    votes = (scale[1] - scale[0]) / 100.0
    rows = [
        [
            entry.experiment,
            entry.model,
            str(entry.n),
            f"{entry.plcc:.3f}",
            f"{entry.srocc:.3f}",
            f"{votes * entry.bias:+.2f}",
            f"{votes * entry.rmse:.3f}",
            f"{votes * entry.rmse_mapped:.3f}",
        ]
        for entry in experiments.agreement
    ]
    return markdown_table(
        ["test", "model", "n", "PLCC", "SROCC", "bias", "RMSE", "mapped"],
        rows,
    )


def verdict_lines(experiments: Experiments, votes: float) -> list[str]:
    """Returns a line for each test: whether the model or the best of VMAF's poolings is better.

    Args:
        votes: of a point of 0-100.
    """
    return [
        f"- {entry.experiment}: {experiments.model} is {entry.word} after lines, "
        f"{votes * entry.difference:+.3f} votes beside {entry.rival}, p {entry.p_value:.2g} over "
        f"sources."
        for entry in experiments.verdicts
    ]
