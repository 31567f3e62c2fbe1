"""Limits of `vmaf-jax score`: the gate that its flags ask for, and what is written of it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmaf_jax.errors import InputError
from vmaf_jax.files import check_output

if TYPE_CHECKING:
    from vmaf_jax.scoring.gate import Check, Gate
    from vmaf_jax.scoring.rank import Failure
    from vmaf_jax.scoring.scores import Scores


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of the scores, and the file that says whether they were kept."""

    gate: "Gate | None"
    junit: Path | None
    baseline: Path | None

    @classmethod
    def from_flags(
        cls,
        fail_below: str | None,
        baseline: Path | None,
        max_drop: str | None,
        junit: Path | None,
        within: float | None,
    ) -> "Limits":
        """Returns the limits of the flags, whose module is not loaded where there are none."""
        if fail_below is None and baseline is None and max_drop is None:
            if junit is not None:
                raise InputError("--junit: states limits; give --fail-below or --baseline.")
            return cls(None, None, None)
        from vmaf_jax.scoring.gate import Gate

        gate = Gate(fail_below, baseline, max_drop)
        if within is not None and (others := gate.pools - {None, "mean"}):
            raise InputError(f"--within estimates the mean; drop it, or --pool {others.pop()}.")
        return cls(gate, junit, baseline)

    def check_output(self, inputs: Sequence[Path]) -> None:
        """Checks that the file can be written."""
        if self.junit is not None:
            others = [] if self.baseline is None else [self.baseline]
            check_output(self.junit, ".xml", [*inputs, *others])

    def check(self, scores: "Sequence[Scores]") -> "list[Check]":
        """Checks the scores of all pairs."""
        return [] if self.gate is None else [c for entry in scores for c in self.gate.check(entry)]

    def add_to(self, document: dict[str, object], checks: "Sequence[Check]") -> dict[str, object]:
        """Returns the document of a result with its checks."""
        if self.gate is None:
            return document
        from vmaf_jax.scoring.gate import gate_document

        return {**document, "gate": gate_document(checks)}

    def finish(
        self, checks: "Sequence[Check]", failed: "Sequence[Failure]" = (), *, quiet: bool
    ) -> None:
        """Writes the file, names limits that were missed, and raises GateError where one was."""
        if self.gate is None:
            return
        from vmaf_jax.reporting.terminal import show_lines
        from vmaf_jax.scoring.gate import check_gate, write_junit

        if self.junit is not None:
            write_junit(self.junit, checks, failed)
        if not quiet:
            show_lines((f"{c.distorted}: {c}" for c in checks), on_error=True)
        check_gate(checks)
