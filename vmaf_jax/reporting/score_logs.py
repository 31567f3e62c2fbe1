"""Scores as files of other programs: libvmaf's logs in JSON or XML, and JUnit XML of checks.

Frames carry the features and other metrics under libvmaf's names (`integer_adm2` ...), each teacher
under its name, and the model's score under its own and as `vmaf`, which programs look for; pooled
metrics are libvmaf's four. Numbers have six decimals, as libvmaf writes them.
Source: the layout that libvmaf 2 and 3 write (`libvmaf/src/output.c`).
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from vmaf_jax.printable import printable

Columns = Mapping[str, npt.NDArray[np.float64]]
Statistics = Mapping[str, Mapping[str, float]]
NO_STATISTICS: Statistics = {}
_ADDED = ("p1", "p5", "p10", "median", "worst_second")


def to_json(
    columns: Columns,
    version: str,
    pooled: Statistics = NO_STATISTICS,
    numbers: Sequence[int] | npt.NDArray[np.integer] | None = None,
    worst_region: Mapping[str, object] | None = None,
) -> str:
    """Returns the log as JSON.

    Args:
        columns: per-frame values by libvmaf's name, `[frames]`.
        version: of the program that measured.
        pooled: statistics of those that are scores, by name; percentiles and the worst second are
            added to libvmaf's four.
        numbers: of the frames, `[frames]`; from 0 by default.
        worst_region: its attributes, where it was looked for; libvmaf's logs have no such part.
    """
    frames = [
        {"frameNum": k, "metrics": {n: _number(v) for n, v in zip(columns, row, strict=True)}}
        for k, row in _numbered(columns, numbers)
    ]
    metrics = {
        name: {key: _number(value) for key, value in _pool(values, pooled.get(name)).items()}
        for name, values in columns.items()
    }
    document = {
        "version": version,
        "frames": frames,
        "pooled_metrics": metrics,
        "aggregate_metrics": {},
        **({} if worst_region is None else {"worst_region": worst_region}),
    }
    return json.dumps(document, indent=2) + "\n"


def to_xml(
    columns: Columns,
    version: str,
    pooled: Statistics = NO_STATISTICS,
    numbers: Sequence[int] | npt.NDArray[np.integer] | None = None,
    worst_region: Mapping[str, object] | None = None,
) -> str:
    """Returns the log as XML; arguments are those of `to_json`."""
    names = [_attribute_name(name) for name in columns]
    frames = "\n".join(
        f'    <frame frameNum="{k}" '
        + " ".join(f'{n}="{v:.6f}"' for n, v in zip(names, row, strict=True))
        + " />"
        for k, row in _numbered(columns, numbers)
    )
    metrics = "\n".join(
        f"    <metric name={quoteattr(name)} "
        + " ".join(f'{key}="{value:.6f}"' for key, value in _pool(values, pooled.get(name)).items())
        + " />"
        for name, values in columns.items()
    )
    return (
        f"<VMAF version={quoteattr(version)}>\n  <frames>\n{frames}\n  </frames>\n"
        f"  <pooled_metrics>\n{metrics}\n  </pooled_metrics>\n  <aggregate_metrics />\n"
        f"{_region_element(worst_region)}</VMAF>\n"
    )


def _region_element(region: Mapping[str, object] | None) -> str:
    """Returns a line of XML with what `--json` has of the worst region."""
    if region is None:
        return ""
    values = {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else json.dumps(value)
        for name, value in region.items()
        if value is not None
    }
    return f"  <worst_region {' '.join(f'{k}={quoteattr(v)}' for k, v in values.items())} />\n"


def _numbered(
    columns: Columns, numbers: Sequence[int] | npt.NDArray[np.integer] | None
) -> Iterable[tuple[int, tuple[float, ...]]]:
    values = [column.tolist() for column in columns.values()]
    rows = zip(*values, strict=True)
    return enumerate(rows) if numbers is None else zip(map(int, numbers), rows, strict=True)


def _number(value: float) -> float | None:
    # JSON has no infinity (PSNR of equal pictures); libvmaf writes null.
    return round(value, 6) if math.isfinite(value) else None


def _attribute_name(name: str) -> str:
    """Returns a name that XML admits as an attribute."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name)
    return plain if plain[:1].isalpha() else f"_{plain}"


def _pool(
    values: npt.NDArray[np.float64], statistics: Mapping[str, float] | None
) -> dict[str, float]:
    """Pools values as libvmaf does; its harmonic mean is `1 / mean(1 / (x + 1)) - 1`."""
    more = {key: value for key, value in (statistics or {}).items() if key in _ADDED}
    with np.errstate(divide="ignore"):  # the reciprocal of an infinite value is 0
        harmonic_mean = float(1 / np.mean(1 / (values + 1)) - 1)
    return {
        "min": float(np.min(values)),
        "max": float(np.max(values)),
        "mean": float(np.mean(values)),
        "harmonic_mean": harmonic_mean,
        **more,
    }


class Case(NamedTuple):
    """A test case.

    Attributes:
        group: Of the case, here the reference's name.
        name: Of the case.
        failure: Why it failed; None where it passed.
        error: Why it could not be judged; None where it could.
    """

    group: str
    name: str
    failure: str | None = None
    error: str | None = None


def to_junit(suite: str, cases: Sequence[Case]) -> bytes:
    """Returns one test suite as JUnit XML, UTF-8."""
    counts = {
        "tests": len(cases),
        "failures": sum(case.failure is not None for case in cases),
        "errors": sum(case.error is not None for case in cases),
    }
    attributes = {"name": suite, **{key: str(value) for key, value in counts.items()}}
    root = ElementTree.Element("testsuites", attributes)
    parent = ElementTree.SubElement(root, "testsuite", attributes)
    for case in cases:
        # XML 1.0 has no control characters, not even escaped, and names of files may.
        names = {"classname": printable(case.group), "name": printable(case.name)}
        child = ElementTree.SubElement(parent, "testcase", names)
        for tag, text in (("failure", case.failure), ("error", case.error)):
            if text is not None:
                ElementTree.SubElement(child, tag, {"message": printable(text)})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"
