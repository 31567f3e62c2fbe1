"""Claims of the literature on small VMAF students, put to the test by a selection's findings.

    vmaf-jax select --config configs/selection.yaml
    python docs/experiments/claims.py runs/selection/selection.json

A claim holds only where every comparison bears it out (95 % intervals over sources).
"""

import argparse
import json
from pathlib import Path
from typing import Any


def judge(findings: dict[str, Any]) -> list[tuple[str, str, str, bool, str]]:
    """Each claim: its words, corpus, condition, whether it holds, and the figures."""
    verdicts = []
    rows = [c for c in findings["candidates"] if c["strategy"] == "rows"]
    for corpus in findings["corpora"]:
        best = {
            c["network"]: max(
                o["plcc"] for o in rows if (o["corpus"], o["network"]) == (corpus, c["network"])
            )
            for c in rows
            if c["corpus"] == corpus and c["network"] in ("nano", "tiny")
        }
        if len(best) == 2:
            holds = best["nano"] < 0.93 and 0.94 <= best["tiny"] < 0.97
            figures = f"best nano PLCC {best['nano']:.5f}, best tiny {best['tiny']:.5f}"
            claim = "2x64 saturates near PLCC 0.91 while 3x128 reaches 0.95-0.96"
            verdicts.append((claim, corpus, "", holds, figures))
        for activation in sorted({c["activation"] for c in rows if c["corpus"] == corpus}):
            pairs = [
                c
                for c in findings["comparisons"]
                if (c["corpus"], c["activation"]) == (corpus, activation)
            ]
            verdicts += [(*v[:1], corpus, activation, *v[1:]) for v in _of_activation(pairs)]
    return verdicts


def _of_activation(pairs: list[dict[str, Any]]) -> list[tuple[str, bool, str]]:
    verdicts = []
    warm = [
        c
        for c in pairs
        if c["kind"] == "kl against squared error" and c["temperature"] in (2.0, 4.0)
    ]
    if warm:
        better, worse = _counts(warm)
        at_ends = sum(c["interval"]["high"] < 0 and c["gain_ends"] > c["gain_middle"] for c in warm)
        figures = f"better in {better} of {len(warm)} comparisons, worse in {worse}; in {at_ends} "
        claim = "KL at T of 2-4 beats squared error, most at the endpoints"
        verdicts.append((claim, better == len(warm) == at_ends, figures + "most at the ends"))
    decay = [c for c in pairs if c["kind"] == "decay and dropout against none"]
    if decay:
        better, worse = _counts(decay)
        figures = f"held-out RMSE lower in {better} of {len(decay)} networks, higher in {worse}"
        claim = "decay 1e-3 with dropout 0.2 prevents over-fitting"
        verdicts.append((claim, better == len(decay), figures))
    return verdicts


def _counts(pairs: list[dict[str, Any]]) -> tuple[int, int]:
    better = sum(c["interval"]["high"] < 0 for c in pairs)
    return better, sum(c["interval"]["low"] > 0 for c in pairs)


def main() -> None:
    """Prints the verdicts as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("findings", type=Path)
    findings = json.loads(parser.parse_args().findings.read_text())
    print("| claim | corpus | condition | holds | figures |\n| --- | --- | --- | --- | --- |")
    for claim, corpus, condition, holds, figures in judge(findings):
        print(f"| {claim} | {corpus} | {condition} | {'yes' if holds else 'no'} | {figures} |")


if __name__ == "__main__":
    main()
