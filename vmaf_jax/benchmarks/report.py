"""A benchmark's report as lines for people: one a figure, named by its path in the report."""

from typing import Any


def to_lines(report: dict[str, Any], path: str = "") -> list[str]:
    """Every figure and remark of a report, nested ones named `outer, inner`."""
    lines = []
    for key, value in report.items():
        name = f"{path}, {key}" if path else key
        match value:
            case {"ratio": ratio, "ours_s": ours, "theirs_s": theirs}:
                lines.append(
                    f"{name}: {_time(ours)} against {_time(theirs)}, ratio {ratio:.3f} "
                    f"(median of {value['repeats']})"
                )
            case {"median_s": median, "low_s": low, "high_s": high}:
                rate = f", {_rate(value['rows_per_s'])} a second" if "rows_per_s" in value else ""
                kind = "95 % interval" if value["repeats"] >= 6 else "all"
                lines.append(
                    f"{name}: {_time(median)} ({kind} {_time(low)} to {_time(high)}){rate}"
                )
            case dict():
                lines += to_lines(value, name)
            case float():
                lines.append(f"{name}: {value:.4g}")
            case list():
                lines.append(f"{name}: {' '.join(map(str, value))}")
            case _:
                lines.append(f"{name}: {value}")
    return lines


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
