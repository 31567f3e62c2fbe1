"""From figures to statements: which claims hold where, and what to choose."""

from typing import Any

VISIBLE = 0.1  # VMAF points; a smaller difference in RMSE is not worth parameters


def judge_claims(findings: dict[str, Any]) -> list[dict[str, Any]]:
    """The claims of the work this follows, each with what was found where."""
    rows = [c for c in findings["candidates"] if c["strategy"] == "rows"]
    claims = []
    for corpus in findings["corpora"]:
        best = {
            network: max(
                c["plcc"] for c in rows if (c["corpus"], c["network"]) == (corpus, network)
            )
            for network in ("nano", "tiny")
            if any((c["corpus"], c["network"]) == (corpus, network) for c in rows)
        }
        if len(best) == 2:
            claims.append(
                {
                    "claim": "2x64 saturates near PLCC 0.91 while 3x128 reaches 0.95-0.96",
                    "corpus": corpus,
                    "holds": best["nano"] < 0.93 and 0.94 <= best["tiny"] < 0.97,
                    "found": f"best nano PLCC {best['nano']:.5f}, best tiny {best['tiny']:.5f}",
                }
            )
        for activation in sorted({c["activation"] for c in rows}):
            some = [
                c
                for c in findings["comparisons"]
                if (c["corpus"], c["activation"]) == (corpus, activation)
            ]
            warm = [
                c
                for c in some
                if c["kind"] == "kl against squared error" and c["temperature"] in (2.0, 4.0)
            ]
            if warm:
                better = sum(c["better"] for c in warm)
                ends = sum(c["better"] and c["gain_ends"] > c["gain_middle"] for c in warm)
                claims.append(
                    {
                        "claim": "KL at T of 2-4 beats squared error, most at the endpoints",
                        "corpus": corpus,
                        "condition": activation,
                        "holds": better == len(warm) == ends,
                        "found": f"better in {better} of {len(warm)} comparisons, worse in "
                        f"{sum(c['worse'] for c in warm)}; in {ends} of them most at the ends",
                    }
                )
            decay = [c for c in some if c["kind"] == "decay and dropout against none"]
            if decay:
                claims.append(
                    {
                        "claim": "decay 1e-3 with dropout 0.2 prevents over-fitting",
                        "corpus": corpus,
                        "condition": activation,
                        "holds": all(c["better"] for c in decay),
                        "found": f"held-out RMSE lower in {sum(c['better'] for c in decay)} of "
                        f"{len(decay)} networks, higher in {sum(c['worse'] for c in decay)}",
                    }
                )
    return claims


def choose(findings: dict[str, Any], corpus: str) -> dict[str, Any]:
    """The candidate to ship, and why."""
    size = {(d["network"], d["head"]): d["parameters"] for d in findings["deployment"]}

    def parameters(entry: dict[str, Any]) -> int:
        head = "distribution" if entry["loss"] == "kl" else "scalar"
        return int(size[entry["network"], head])

    here = sorted(
        (c for c in findings["candidates"] if c["corpus"] == corpus), key=lambda c: c["rmse"]
    )
    best = here[0]
    near = [c for c in here if c["rmse"] - best["rmse"] < VISIBLE]
    chosen = min(near, key=lambda c: (parameters(c), c["rmse"]))
    rest = [c for c in here if c["strategy"] != chosen["strategy"]]
    runner_up = rest[0] if rest else here[min(1, len(here) - 1)]
    return {
        "candidate": chosen["label"],
        "rmse": chosen["rmse"],
        "rmse_interval": chosen["rmse_interval"],
        "parameters": parameters(chosen),
        "most_accurate": best["label"],
        "most_accurate_rmse": best["rmse"],
        "runner_up": runner_up["label"],
        "margin": runner_up["rmse"] - chosen["rmse"],
        "reason": (
            f"among the candidates within {VISIBLE} points of the lowest held-out RMSE "
            f"({best['label']}: {best['rmse']:.4f}) it has the fewest parameters "
            f"({parameters(chosen)})"
        ),
    }
