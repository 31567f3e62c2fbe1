"""`card.md`: a model card, computed from a run's predictions and settings."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vmaf_jax.evaluation.conformal import LEVELS, HeldOutIntervals
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.metrics import METRIC_NAMES, RANGES, Distance, all_metrics, range_rmse
from vmaf_jax.evaluation.opinion_report import Experiments, mean_bias
from vmaf_jax.evaluation.run_metrics import CASES, Deviation
from vmaf_jax.features.feature_set import OUTPUT_RANGE
from vmaf_jax.models import Student
from vmaf_jax.models.viewing_distance import ViewingDistance
from vmaf_jax.printable import format_count, format_fixed, format_points
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.reporting.run_view import common_limits
from vmaf_jax.tables.table import LabelScale, votes_a_point

_SUPPORT_VECTORS = (
    "- `support_vectors` are clip means of VMAF's own training clips, which the teacher's model "
    "file holds as its support vectors; their sources are inferred from motion2, which clips of "
    "one source share."
)
_QUERIES = (
    "- Queries may ask the teacher anywhere in the features' box, held-out clips' surroundings "
    "included. So the held-out figure says how well a known function is approximated where no "
    "training row lay, not how a model fitted to labels would do on new content."
)


def card(
    *,
    config: Mapping[str, Any],
    features: Sequence[str],
    student: Student,
    held_out: HeldOut,
    external: Mapping[str, HeldOut],
    intervals: HeldOutIntervals | str,
    behaviour: Mapping[str, Deviation] | None,
    parity: Distance,
    trained: Distance,
    config_sha256: str,
    label_scale: tuple[float, float] = OUTPUT_RANGE,
    n_swept: int = 1,
    experiments: Experiments | None = None,
    distance: ViewingDistance | None = None,
) -> str:
    """Returns the text of a model card in Markdown.

    Args:
        config: the content of the run's configuration.
        held_out, external: the predictions that every figure is computed from.
        intervals: of these predictions, or a sentence that says why there are none.
        behaviour: deviation from the teacher outside the data; None without a teacher.
        parity: distance of the deployed form in JAX from ONNX Runtime.
        trained: distance of the student as trained from its deployed form, both in JAX.
        label_scale: the worst and the best vote, for a model of opinions.
        n_swept: number of combinations of settings that this is the best of.
        experiments: the model in every subjective test; None where there are none.
        distance: the viewing distances that it knows.
    """
    data = config["data"]
    n_folds = config["training"].get("folds")
    held_out_name = f"{n_folds} folds of whole sources" if n_folds else "leave-one-source-out"
    sets = {held_out_name: held_out}
    sets |= {f"external: {name}": rows for name, rows in external.items()}
    votes = data["label"] == "mos"
    predicts = "opinion scores" if votes else data["teacher"]
    lines = [
        f"# {config['name']}",
        "",
        f"A full-reference video quality predictor over {', '.join(features)}: {student.network} "
        f"network, {student.n_params()} parameters, "
        f"{student.activation if student.spec.activations else 'Gaussian units'}, {student.head} "
        f"head. It predicts {predicts} on 0-100.",
        "",
        "## Data and protocol",
        "",
        *_protocol(config, held_out, external),
        *_selection_bias(n_swept),
        "",
        "## Agreement",
        "",
        *_agreement(sets, data, label_scale),
        "",
        *experiment_lines(experiments, label_scale),
        *_distances(distance, label_scale),
        "## Uncertainty",
        "",
        *coverage_lines(intervals, list(external)),
        "",
        "## Outside the data",
        "",
        *_outside(behaviour),
        "",
        "## ONNX parity",
        "",
        f"Of the deployed form, JAX against ONNX Runtime, over {parity.n} rows strictly inside "
        f"(0, 100): at most {parity.max_abs:.2e} points, at most {parity.max_ulp} ULP for outputs "
        f"of 16 and more; {parity.clipped} clipped rows were counted apart. The student as it was "
        f"trained and its deployed form differ by at most {trained.max_abs:.2e} points in JAX.",
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in common_limits("mos" if votes else data["teacher"])),
        f"- {int((held_out.label <= 20).sum())} of the {len(held_out.label)} held-out rows score "
        f"20 or less; the table above says how well that end is known.",
        "",
        "## Reproduce",
        "",
        "    vmaf-jax train --config config.yaml    # the one in this folder",
        "",
        *_own_table(config["data"]),
        f"Config digest (SHA-256): `{config_sha256}`.",
        "",
    ]
    return "\n".join(lines)


def _own_table(data: Mapping[str, Any]) -> list[str]:
    """Says that the configuration reads a table; nothing where it names a corpus."""
    if data["features"] is None:
        return []
    return [f"The configuration reads `{data['features']}`, which is not in this folder.", ""]


def _protocol(
    config: Mapping[str, Any], held_out: HeldOut, external: Mapping[str, HeldOut]
) -> list[str]:
    training, data = config["training"], config["data"]
    epochs = training.get("epochs")
    length = f"{training['steps']} steps" if epochs is None else f"{epochs} epochs"
    queried = training["strategy"] == "teacher_queries"
    rows = (
        f"{training['batch_size']} new feature vectors a step, labelled by the teacher"
        if queried
        else "the corpus's own rows"
    )
    method = {
        "adam": f"Adam (peak rate {training['learning_rate']})",
        "adamw": f"AdamW (peak rate {training['learning_rate']}, decay {training['weight_decay']})",
        "levenberg_marquardt": "damped least squares (Levenberg-Marquardt)",
    }[training["optimiser"]]
    n_sources = len(set(held_out.source.tolist()))
    lines = [
        f"- Trained on `{data['features'] or data['corpus']}` "
        f"({format_count(n_sources, 'source')}) with {rows}, for {length} of {method}, loss "
        f"{training['loss']}.",
        f"- {_folds(training.get('folds'))}, seeds {', '.join(map(str, training['seeds']))}: no "
        f"row of the held-out source and no statistic of it reaches its fold. The shipped "
        f"parameters are a final fit on all sources.",
    ]
    if training.get("start"):
        lines.append(f"- Training starts from the variables of `{training['start']}`.")
    lines += [f"- {sentence}" for sentence in data.get("about", ())]
    if data["corpus"] == "support_vectors" and not data["features"]:
        lines.append(_SUPPORT_VECTORS)
    if queried:
        lines.append(_QUERIES)
    lines += [
        f"- No clip of `{name}` is among the training data (compared by content). Whoever "
        f"chooses settings with its row in sight no longer has a blind test in it."
        for name in external
    ]
    return lines


def _selection_bias(n_swept: int) -> list[str]:
    if n_swept == 1:
        return []
    return [
        f"- Its settings are the best of {n_swept} combinations by these very held-out "
        f"predictions, which favours their figures a little."
    ]


def _folds(n_folds: int | None) -> str:
    if n_folds is None:
        return "Leave-one-source-out"
    return f"Cross-validated in {n_folds} folds of whole sources, of about as many rows each"


def _agreement(
    sets: Mapping[str, HeldOut], data: Mapping[str, Any], label_scale: tuple[float, float]
) -> list[str]:
    metrics = {name: all_metrics(rows.predicted, rows.label) for name, rows in sets.items()}
    held_out = next(iter(metrics.values()))
    return [
        *markdown_table(
            ["rows", "n", *(name.upper() for name in METRIC_NAMES)],
            [
                [name, str(entry.n), *(_figure(getattr(entry, m)) for m in METRIC_NAMES)]
                for name, entry in metrics.items()
            ],
        ),
        "",
        f"{_unit(data, label_scale, held_out.rmse)} RMSE by range of the "
        f"true score, with its count:",
        "",
        *markdown_table(
            ["rows", *(f"{low:.0f}-{high:.0f}" for low, high in RANGES)],
            [[name, *_by_range(rows)] for name, rows in sets.items()],
        ),
        *(_worst_cases(sets) if data.get("rows_are_public", True) else []),
    ]


def _unit(data: Mapping[str, Any], label_scale: tuple[float, float], rmse: float) -> str:
    """Returns a sentence on the unit of errors."""
    if data["label"] != "mos":
        return "Errors in VMAF points."
    low, high = label_scale
    return (
        f"Errors in points of 0-100, to which the votes' {low:g} to {high:g} is mapped: there, the "
        f"held-out RMSE is {rmse * votes_a_point(label_scale):.3f}."
    )


def _worst_cases(sets: Mapping[str, HeldOut]) -> list[str]:
    return [
        "",
        "## Worst cases",
        "",
        *markdown_table(
            ["rows", "clip", "frame", "true", "predicted", "error"],
            [row for name, rows in sets.items() for row in _worst(name, rows)],
        ),
    ]


def _figure(value: float) -> str:
    return format_fixed(value, 6 if abs(value) < 1 else 3)


def _by_range(rows: HeldOut) -> list[str]:
    ranges = [range_rmse(rows.predicted, rows.label, *ends) for ends in RANGES]
    return [f"{r.rmse:.4f} (n = {r.n})" if r.n else "– (n = 0)" for r in ranges]


def _worst(name: str, rows: HeldOut, count: int = 3) -> list[list[str]]:
    error = rows.predicted - rows.label
    return [
        [
            name,
            f"{rows.source[k]} / {rows.clip[k]}",
            str(rows.index[k]),
            f"{rows.label[k]:.3f}",
            f"{rows.predicted[k]:.3f}",
            f"{error[k]:+.3f}",
        ]
        for k in np.argsort(-np.abs(error), kind="stable")[:count]
    ]


def _distances(distance: ViewingDistance | None, label_scale: tuple[float, float]) -> list[str]:
    if distance is None:
        return []
    low, high = label_scale
    gain = (high - low) / 4 * distance.strength(distance.farthest)
    return [
        "## Viewing distance",
        "",
        f"Plain scores are of viewers at {distance.own:g} picture heights. People voted from "
        f"{distance.nearest:g} to {distance.farthest:g}; between the two, a score in the middle of "
        f"the scale rises by {gain:.2f} votes, the ends of the scale stay, and no score falls. "
        f"`score --distance` and `export --distance` take the distance.",
        "",
    ]


def _outside(behaviour: Mapping[str, Deviation] | None) -> list[str]:
    if behaviour is None:
        return ["No teacher could be asked."]
    return markdown_table(
        ["case", "n", "RMSE", "max_abs"],
        [
            [CASES[name], str(entry.n), f"{entry.rmse:.4f}", f"{entry.max_abs:.4f}"]
            for name, entry in behaviour.items()
        ],
    )


def experiment_lines(experiments: Experiments | None, scale: LabelScale) -> list[str]:
    """Returns the section of a card; no lines where there are no tests.

    Args:
        scale: the worst and the best vote, of which errors are given.
    """
    if experiments is None:
        return []
    votes = votes_a_point(scale)
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
    votes = votes_a_point(scale)
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
    return markdown_table(["test", "model", "n", "PLCC", "SROCC", "bias", "RMSE", "mapped"], rows)


def verdict_lines(experiments: Experiments, votes: float) -> list[str]:
    """Returns a line for each test: whether the model or the best of VMAF's poolings is better.

    Args:
        votes: of a point of 0-100.
    """
    n = sum(not math.isnan(entry.p_value) for entry in experiments.verdicts)
    adjusted = f" (Holm, {n} tests)" if n > 1 else ""
    return [
        f"- {entry.experiment}: {experiments.model} is {entry.word} after lines, "
        f"{votes * entry.difference:+.3f} votes beside {entry.rival}, "
        + (
            "without a p value: it has fewer than three sources."
            if math.isnan(entry.p_value)
            else f"p {entry.p_value:.2g} over sources{adjusted}."
        )
        for entry in experiments.verdicts
    ]


_AT = (20.0, 50.0, 80.0)  # predictions whose half-width a card gives, points


def coverage_lines(intervals: HeldOutIntervals | str, corpora: Sequence[str]) -> list[str]:
    """Returns the Markdown lines of a card: half-widths of the model's intervals, and coverage.

    Args:
        corpora: names of other corpora whose clips are among them.
    """
    if isinstance(intervals, str):
        return [intervals]
    profile = intervals.profile
    rows = []
    for entry in intervals.coverages:
        half = profile.half_width(np.array(_AT), entry.level)
        rows.append(
            [
                f"{entry.level:.0%}",
                *(f"±{format_points(float(value))}" for value in half),
                f"{entry.covered:.1%}",
                f"{entry.covered_by_source:.1%}",
                format_points(entry.width),
            ]
        )
    half_widths = [f"at {score:g}" for score in _AT]
    header = ["level", *half_widths, "held the label", "mean over sources", "mean width"]
    among = f", those of {', '.join(corpora)} included" if corpora else ""
    return [
        f"Conformal intervals across sources, as `score --interval 0.9` gives them, from "
        f"{profile.n_clips:,} held-out predictions of clips of {profile.n_sources} sources{among}. "
        f"Half-widths in points, at three scores; then how often such intervals held the label of "
        f"a source's clips, calibrated without that source, and their mean width:",
        "",
        *markdown_table(header, rows),
        "",
        f"The levels are for sources like these; one that is unlike all of them is held less often."
        f"{_caveat(profile.n_sources)}",
    ]


def _caveat(n_sources: int) -> str:
    """Returns what no calibration on so few sources can promise; "" with enough sources."""
    # With n exchangeable sources a new one is the most extreme of n + 1 with probability 1/(n + 1).
    most = n_sources / (n_sources + 1)
    if most >= LEVELS[-1]:
        return ""
    return f" From {n_sources} sources, no method can promise more than {most:.1%} of a new one."
