"""A selection's findings: an answer of one page in Markdown, and all of it as one HTML page."""

import dataclasses
import html

from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import RANGES
from vmaf_jax.reporting.html import image, number, page
from vmaf_jax.reporting.html import table as html_table
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.reporting.plots import png
from vmaf_jax.selection.findings import CandidateFigures, Findings

_BEST = 5  # candidates a corpus on the short page


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading, paragraphs, and a table, which may be empty."""

    heading: str
    paragraphs: list[str]
    header: list[str] = dataclasses.field(default_factory=list)
    rows: list[list[str]] = dataclasses.field(default_factory=list)


def to_markdown(findings: Findings) -> str:
    """`report.md`: the choice, the answers, and the best candidates of each corpus."""
    lines = ["# Selection", ""]
    best = [_candidates(findings, corpus, _BEST) for corpus in findings.corpora]
    for section in (_choice(findings), _answers(findings), *best, _deployment(findings)):
        lines += [f"## {section.heading}", ""]
        for paragraph in section.paragraphs:
            lines += [paragraph, ""]
        if section.header:
            lines += [*markdown_table(section.header, section.rows), ""]
    return "\n".join(lines)


def to_html(findings: Findings) -> str:
    """`report.html`: everything, with plots inside."""
    body: list[str] = []
    for section in (_choice(findings), _answers(findings)):
        body += _html(section)
    for corpus in findings.corpora:
        section = _candidates(findings, corpus)
        plot = image(_forest(findings, corpus), f"RMSE with intervals on {corpus}")
        body += [*_html(section)[:-1], plot, html_table(section.header, section.rows)]
    for section in (_comparisons(findings), _deployment(findings)):
        body += _html(section)
    return page("Selection", body)


def _html(section: Section) -> list[str]:
    body = [f"<h2>{html.escape(section.heading)}</h2>"]
    body += [f"<p>{html.escape(paragraph)}</p>" for paragraph in section.paragraphs]
    return [*body, html_table(section.header, section.rows)] if section.header else body


def _choice(findings: Findings) -> Section:
    choice = findings.choice
    return Section(
        "Choice",
        [
            f"{choice.candidate}: held-out RMSE {choice.rmse:.4f} "
            f"[{choice.rmse_interval.low:.4f}, {choice.rmse_interval.high:.4f}], "
            f"{choice.parameters} parameters, because {choice.reason}. Margin to the best of the "
            f"other strategy ({choice.runner_up}): {choice.margin:.4f} points. Finalists were "
            f"picked by the held-out error of their row-trained kin on the same sources, which "
            f"favours each a little."
        ],
    )


def _answers(findings: Findings) -> Section:
    """The questions that were open, answered from the figures."""
    first = next(iter(findings.corpora))
    rows = _best_by_network(findings, first, "rows")
    queries = _best_by_network(findings, first, "teacher_queries")
    answers = [
        f"Which network? Held-out RMSE, best of each: on rows {_listed(rows)}; on teacher queries "
        f"{_listed(queries)}.",
    ]
    ratios = [rows[name].rmse / queries[name].rmse for name in queries if name in rows]
    if ratios:
        answers.append(
            f"Distil, or fit labels from scratch? Asking the teacher anew in every step lowers the "
            f"held-out RMSE {min(ratios):.1f} to {max(ratios):.1f} times against fitting the "
            f"corpus's own labels."
        )
    surfaces = findings.surfaces
    ordered = sorted(surfaces.spearman_with_held_out.items(), key=lambda entry: -entry[1])
    answers.append(
        "Which evaluation surface? Spearman's correlation, over the candidates, of each surface "
        "with held-out RMSE: "
        + ", ".join(f"{name.replace('_', '-')} {value:.3f}" for name, value in ordered)
        + ". `golden` here is two clip means of the demo corpus (its lowest and highest), "
        "`cross-backend` how much more than its teacher a candidate moves when libvmaf's float "
        f"extractors replace the integer ones (the teacher itself moves by "
        f"{surfaces.teacher_cross_backend_rmse:.4f})."
    )
    return Section("Three questions", answers)


def _best_by_network(findings: Findings, corpus: str, strategy: str) -> dict[str, CandidateFigures]:
    best: dict[str, CandidateFigures] = {}
    for candidate in _ranked(findings, corpus):
        if candidate.strategy == strategy:
            best.setdefault(candidate.network, candidate)
    return best


def _listed(best: dict[str, CandidateFigures]) -> str:
    return ", ".join(f"{name} {candidate.rmse:.4f}" for name, candidate in best.items())


def _ranked(findings: Findings, corpus: str) -> list[CandidateFigures]:
    of_corpus = (c for c in findings.candidates if c.corpus == corpus)
    return sorted(of_corpus, key=lambda c: c.rmse)


def _candidates(findings: Findings, corpus: str, count: int | None = None) -> Section:
    facts, ranked = findings.corpora[corpus], _ranked(findings, corpus)
    which = "Candidates" if count is None else f"The best {min(count, len(ranked))} candidates"
    return Section(
        f"{which} on {corpus}",
        [
            f"{facts.rows} clips of {facts.sources} sources; excess kurtosis of the teacher's "
            f"scores {facts.kurtosis:.2f}, skewness {facts.skewness:.2f}; {facts.below_20} clips "
            f"below 20. RMSE by range of the true score."
        ],
        ["candidate", "seeds", "PLCC", "RMSE", "95 % interval", "max",
         *(f"{low:.0f}-{high:.0f} (n)" for low, high in RANGES)],
        [
            [
                *(c.label, str(len(c.seeds)), number(c.plcc, 5), number(c.rmse)),
                *(_interval(c.rmse_interval), number(c.max_abs, 3)),
                *(f"{number(r.rmse, 3)} ({r.n // len(c.seeds)})" for r in c.ranges),
            ]
            for c in ranked[:count]
        ],
    )  # fmt: skip


def _interval(interval: Interval) -> str:
    return f"{interval.low:.4f} to {interval.high:.4f}"


def _comparisons(findings: Findings) -> Section:
    return Section(
        "Paired comparisons",
        ["Difference in RMSE (first less second; below zero: the first is better), paired."],
        ["corpus", "first", "second", "difference", "95 % interval"],
        [
            [c.corpus, c.first, c.second, f"{c.difference:+.4f}", _interval(c.interval)]
            for c in findings.comparisons
        ],
    )


def _deployment(findings: Findings) -> Section:
    return Section(
        "Deployment",
        ["ONNX Runtime, one thread, batch 1, median of 300 calls."],
        ["network", "head", "parameters", "ONNX bytes", "latency (µs)"],
        [
            [d.network, d.head, str(d.parameters), str(d.onnx_bytes), f"{d.latency_us:.1f}"]
            for d in findings.deployment
        ],
    )


def _forest(findings: Findings, corpus: str) -> bytes:
    """Held-out RMSE of every candidate with its interval, on a logarithmic axis."""
    from matplotlib.figure import Figure

    ranked = _ranked(findings, corpus)[::-1]
    figure = Figure(figsize=(9, 1 + 0.24 * len(ranked)), layout="constrained")
    axis = figure.subplots()
    for k, candidate in enumerate(ranked):
        colour = "C1" if candidate.strategy == "teacher_queries" else "C0"
        interval = candidate.rmse_interval
        axis.plot([interval.low, interval.high], [k, k], color=colour, linewidth=2)
        axis.plot(candidate.rmse, k, "o", color=colour, markersize=4)
    axis.set_xscale("log")
    axis.set_yticks(range(len(ranked)), [c.label for c in ranked], fontsize=7)
    axis.set(xlabel="held-out RMSE (VMAF points), 95 % interval", ylim=(-1, len(ranked)))
    axis.grid(axis="x", alpha=0.3, which="both")
    return png(figure)
