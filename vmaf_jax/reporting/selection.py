"""The selection's findings as Markdown and as one HTML page; words and figures from one source."""

import html
from pathlib import Path
from typing import Any

from vmaf_jax.files import write_text
from vmaf_jax.reporting.html import image, number, page
from vmaf_jax.reporting.html import table as html_table
from vmaf_jax.reporting.plots import png


def _sections(findings: dict[str, Any]) -> list[tuple[str, list[str], list[str], list[list[str]]]]:
    """The report: (heading, paragraphs, header, rows) per section."""
    sections: list[tuple[str, list[str], list[str], list[list[str]]]] = []
    choice = findings["choice"]
    low, high = choice["rmse_interval"]
    sections.append(
        (
            "Choice",
            [
                f"{choice['candidate']}: held-out RMSE {choice['rmse']:.4f} [{low:.4f}, "
                f"{high:.4f}], {choice['parameters']} parameters, because {choice['reason']}. "
                f"Margin to the best of the other strategy ({choice['runner_up']}): "
                f"{choice['margin']:.4f} points. Finalists were picked by the held-out error of "
                "their row-trained kin on the same sources, which favours each a little."
            ],
            [],
            [],
        )
    )
    sections.append(("Three questions", _answers(findings), [], []))
    sections.append(
        (
            "Claims put to the test",
            ["Rows-only training on clip means. A claim holds only where every comparison bears "
             "it out (95 % intervals, bootstrap over sources and seeds)."],
            ["claim", "corpus", "condition", "holds", "found"],
            [
                [c["claim"], c["corpus"], c.get("condition", ""), "yes" if c["holds"] else "no",
                 c["found"]]
                for c in findings["claims"]
            ],
        )
    )  # fmt: skip
    for corpus, facts in findings["corpora"].items():
        here = sorted(
            (c for c in findings["candidates"] if c["corpus"] == corpus), key=lambda c: c["rmse"]
        )
        sections.append(
            (
                f"Candidates on {corpus}",
                [
                    f"{facts['rows']} clips of {facts['sources']} sources; excess kurtosis of the "
                    f"teacher's scores {facts['kurtosis']:.2f}, skewness {facts['skewness']:.2f}; "
                    f"{facts['below_20']} clips below 20. RMSE by range of the true score."
                ],
                ["candidate", "seeds", "PLCC", "RMSE", "95 % interval", "max",
                 *(f"{r['from']:.0f}-{r['to']:.0f} (n)" for r in here[0]["ranges"])],
                [
                    [
                        c["label"],
                        str(len(c["seeds"])),
                        number(c["plcc"], 5),
                        number(c["rmse"]),
                        f"{c['rmse_interval'][0]:.4f}-{c['rmse_interval'][1]:.4f}",
                        number(c["max_abs"], 3),
                        *(f"{number(r['rmse'], 3)} ({r['n'] // len(c['seeds'])})"
                          for r in c["ranges"]),
                    ]
                    for c in here
                ],
            )
        )  # fmt: skip
    sections.append(
        (
            "Paired comparisons",
            ["Difference in RMSE (one minus other; below zero: one is better), same resamples."],
            ["corpus", "one", "other", "difference", "95 % interval"],
            [
                [
                    c["corpus"],
                    c["one"],
                    c["other"],
                    f"{c['difference']:+.4f}",
                    f"{c['interval'][0]:+.4f} to {c['interval'][1]:+.4f}",
                ]
                for c in findings["comparisons"]
            ],
        )
    )
    sections.append(
        (
            "Deployment",
            ["ONNX Runtime, one thread, batch 1, median of 300 calls."],
            ["network", "head", "parameters", "ONNX bytes", "latency (µs)"],
            [
                [d["network"], d["head"], str(d["parameters"]), str(d["onnx_bytes"]),
                 f"{d['latency_us']:.1f}"]
                for d in findings["deployment"]
            ],
        )
    )  # fmt: skip
    return sections


def _answers(findings: dict[str, Any]) -> list[str]:
    """The questions that were open, answered from the figures."""
    first = next(iter(findings["corpora"]))
    here = [c for c in findings["candidates"] if c["corpus"] == first]

    def best(strategy: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for c in sorted(here, key=lambda c: c["rmse"]):
            if c["strategy"] == strategy:
                found.setdefault(c["network"], c)
        return found

    def listed(found: dict[str, dict[str, Any]]) -> str:
        return ", ".join(f"{name} {c['rmse']:.4f}" for name, c in found.items())

    rows, queries = best("rows"), best("teacher_queries")
    answers = [
        f"Which network? Held-out RMSE, best of each: on rows {listed(rows)}; on teacher queries "
        f"{listed(queries)}.",
    ]
    if queries:
        ratios = [rows[n]["rmse"] / queries[n]["rmse"] for n in queries if n in rows]
        answers.append(
            f"Distil, or fit labels from scratch? Asking the teacher anew in every step lowers the "
            f"held-out RMSE {min(ratios):.1f} to {max(ratios):.1f} times against fitting the "
            f"corpus's own labels."
        )
    surfaces = findings["surfaces"]
    ordered = sorted(surfaces["spearman_with_held_out"].items(), key=lambda each: -each[1])
    answers.append(
        "Which evaluation surface? Spearman's correlation, over the candidates, of each surface "
        "with held-out RMSE: "
        + ", ".join(f"{name.replace('_', '-')} {value:.3f}" for name, value in ordered)
        + ". `golden` here is two clip means of the demo corpus (its lowest and highest), "
        "`cross-backend` how much more than its teacher a candidate moves when libvmaf's float "
        f"extractors replace the integer ones (the teacher itself moves by "
        f"{surfaces['teacher_cross_backend_rmse']:.4f})."
    )
    return answers


def write_markdown(path: Path, findings: dict[str, Any]) -> None:
    """Writes `report.md`."""
    lines = ["# Selection", ""]
    for heading, paragraphs, header, rows in _sections(findings):
        lines += [f"## {heading}", ""]
        for paragraph in paragraphs:
            lines += [paragraph, ""]
        if header:
            lines += [
                f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)
            ]
            lines.append("")
    write_text(path, "\n".join(lines))


def write_html(path: Path, findings: dict[str, Any]) -> None:
    """Writes `report.html`, with plots inside."""
    body = []
    for heading, paragraphs, header, rows in _sections(findings):
        body.append(f"<h2>{html.escape(heading)}</h2>")
        body += [f"<p>{html.escape(paragraph)}</p>" for paragraph in paragraphs]
        if heading.startswith("Candidates on "):
            corpus = heading.removeprefix("Candidates on ")
            body.append(image(_forest(findings, corpus), f"RMSE with intervals on {corpus}"))
        if header:
            body.append(html_table(header, rows))
    write_text(path, page("Selection", body))


def _forest(findings: dict[str, Any], corpus: str) -> bytes:
    """Held-out RMSE of every candidate with its interval, on a logarithmic axis."""
    from matplotlib.figure import Figure

    here = sorted(
        (c for c in findings["candidates"] if c["corpus"] == corpus), key=lambda c: -c["rmse"]
    )
    figure = Figure(figsize=(9, 1 + 0.24 * len(here)), layout="constrained")
    axis = figure.subplots()
    for k, c in enumerate(here):
        queried = c["strategy"] == "teacher_queries"
        axis.plot(c["rmse_interval"], [k, k], color="C1" if queried else "C0", linewidth=2)
        axis.plot(c["rmse"], k, "o", color="C1" if queried else "C0", markersize=4)
    axis.set_xscale("log")
    axis.set_yticks(range(len(here)), [c["label"] for c in here], fontsize=7)
    axis.set(xlabel="held-out RMSE (VMAF points), 95 % interval", ylim=(-1, len(here)))
    axis.grid(axis="x", alpha=0.3, which="both")
    return png(figure)
