"""Parity: how far an ONNX file is from the JAX model.

Both run over the same rows: real corpora, the corners of the feature box, and random rows in it. An
absolute limit holds everywhere, a limit in ULP from 16 points up. Either side runs the deployed
form; the student as it was trained is compared with it apart. Both are also compared with the same
function in float64, which tells whose rounding is nearer the truth.
"""

import dataclasses
import itertools
from collections.abc import Callable

import jax
import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.environment import processor
from vmaf_jax.errors import GateError
from vmaf_jax.evaluation.metrics import (
    ULP_FROM,
    BatchDistance,
    Distance,
    Octave,
    Rounding,
    WorstRow,
    octave_distances,
    rounding_error,
    score_distance,
    ulp_counts,
    worst_row,
)
from vmaf_jax.export.onnx_runtime import OnnxModel, pack, unpack
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.models import Deployed, Student, Variables, deploy
from vmaf_jax.models.student import in_batches

N_ROWS = 100_000
LARGE_BATCH, SMALL_BATCHES, EVERY_BATCH = 4096, (1, 7), tuple(range(1, 65))
N_SMALL = 10_000
_EXACT = 1 << 17  # rows that are computed in float64 at once
_LONGEST = 20  # frames of the clips that parity is measured on


def parity_rows(
    feature_set: FeatureSet, corpora: list[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float32]:
    """Returns `N_ROWS` rows `[n, d]` or more: corpora, corners of the box, random rows in it."""
    lower, upper = np.array(feature_set.lower), np.array(feature_set.upper)
    corners = np.array(list(itertools.product(*zip(lower, upper, strict=True))))
    real = np.concatenate([*corpora, corners])
    rng = np.random.default_rng(0)
    missing = max(0, N_ROWS - len(real))
    drawn = rng.uniform(lower, upper, (missing, len(lower)))
    return np.concatenate([real, drawn]).astype(np.float32)


def clip_rows(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns the same rows as packed clips of 1 to `_LONGEST` frames, `[n, t, d + 1]`."""
    n = len(rows) // _LONGEST
    features = rows[: n * _LONGEST].reshape(n, _LONGEST, -1)
    lengths = np.random.default_rng(0).integers(1, _LONGEST + 1, n)
    return pack(features, np.arange(_LONGEST) < lengths[:, None])


class ParityLimits(pydantic.BaseModel, frozen=True, extra="forbid"):
    """Limits between JAX and ONNX Runtime, and the batch sizes that are measured.

    Attributes:
        max_abs: VMAF points, of scores inside (0, 100).
        max_ulp: of scores of 16 and more.
        thorough: all rows at every batch size from 1 to 64.
    """

    max_abs: float = pydantic.Field(default=1e-4, gt=0)
    max_ulp: int = pydantic.Field(default=64, ge=0)
    thorough: bool = False


@dataclasses.dataclass(frozen=True)
class Parity:
    """The content of `parity.json`.

    Attributes:
        n, clipped: of the large batch.
        max_abs, max_ulp: over all batch sizes.
        batches, octaves, ulp_counts: by batch size, by size of the output, by distance.
        against_float64: rounding of `jax` and of `onnxruntime`.
        trained_against_deployed: the student as it was trained and as it is deployed, both in JAX.
        jax_cpu_against_device: where JAX has an accelerator.
    """

    n: int
    clipped: int
    max_abs: float
    max_ulp: int
    ulp_from: float
    limits: ParityLimits
    batches: list[BatchDistance]
    octaves: list[Octave]
    ulp_counts: dict[str, int]
    worst: WorstRow
    against_float64: dict[str, Rounding]
    trained_against_deployed: Distance
    device: str
    processor: str
    jax_cpu_against_device: Distance | None = None


def measure_parity(
    student: Student,
    variables: Variables,
    model: OnnxModel,
    rows: npt.NDArray[np.float32],
    limits: ParityLimits,
) -> Parity:
    """Measures how far a student in JAX is from its exported form, overall, by batch and octave.

    JAX runs the deployed form, jitted on its default device, at the batch size of ONNX Runtime.

    Args:
        rows: raw features `[n, d]`, or packed clips for a network over frames.
        limits: if `thorough`, all rows run at every batch size from 1 to 64, instead of `N_SMALL`
            of them at 1 and 7, which takes most of a minute.
    """
    deployed = deploy(student, variables)
    in_jax = _in_jax(deployed, jax.devices()[0])
    # Small batches cost a call each; unless thorough, they see an even share of all rows.
    few = rows if limits.thorough else rows[:: max(1, len(rows) // N_SMALL)]
    if len(few) < N_SMALL:
        few = rows[:N_SMALL]
    ours = in_batches(in_jax, rows, LARGE_BATCH)
    theirs = model.in_batches(rows, LARGE_BATCH)
    batches = [_batch_distance(LARGE_BATCH, ours, theirs)]
    for size in EVERY_BATCH if limits.thorough else SMALL_BATCHES:
        pair = (in_batches(in_jax, few, size), model.in_batches(few, size))
        batches.append(_batch_distance(size, *pair))
    exact = _in_float64(deployed, rows)
    trained = Deployed(student.predict, jax.tree.map(np.asarray, dict(variables)))
    as_trained = in_batches(_in_jax(trained, jax.devices()[0]), rows, LARGE_BATCH)
    on_device = jax.devices()[0].platform != "cpu"
    return Parity(
        n=batches[0].n,
        clipped=batches[0].clipped,
        max_abs=max(entry.max_abs for entry in batches),
        max_ulp=max(entry.max_ulp for entry in batches),
        ulp_from=ULP_FROM,
        limits=limits,
        batches=batches,
        octaves=octave_distances(ours, theirs),
        ulp_counts=ulp_counts(ours, theirs),
        worst=worst_row(rows, ours, theirs, exact),
        against_float64={
            "jax": rounding_error(ours, exact),
            "onnxruntime": rounding_error(theirs, exact),
        },
        trained_against_deployed=score_distance(as_trained, ours),
        device=jax.devices()[0].device_kind,
        processor=processor(),
        jax_cpu_against_device=_cpu_against(deployed, rows, ours) if on_device else None,
    )


def check_parity(parity: Parity) -> None:
    """Raises GateError, with figure and limit, if one of the limits is missed."""
    limits = parity.limits
    for name, figure, limit, unit in (
        ("max_abs", parity.max_abs, limits.max_abs, "VMAF points"),
        ("max_ulp", parity.max_ulp, limits.max_ulp, "ULP"),
    ):
        if not figure <= limit:  # NaN misses too
            raise GateError(f"parity: {name} is {figure:.3g} {unit}, limit {limit:.3g}.")


def _cpu_against(
    deployed: Deployed, rows: npt.NDArray[np.float32], on_device: npt.NDArray[np.float32]
) -> Distance:
    on_cpu = in_batches(_in_jax(deployed, jax.devices("cpu")[0]), rows, LARGE_BATCH)
    return score_distance(on_cpu, on_device)


def _in_jax(
    deployed: Deployed, device: jax.Device
) -> Callable[[npt.NDArray[np.float32]], jax.Array]:
    jitted = jax.jit(deployed.predict)
    constants = jax.device_put(deployed.constants, device)

    # To wait for each of ten thousand small results would double their time.
    def run(batch: npt.NDArray[np.float32]) -> jax.Array:
        return jitted(constants, *unpack(batch))

    return run


def _in_float64(deployed: Deployed, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Computes the same function of the same float32 constants in float64 on the CPU."""
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        constants = jax.tree.map(lambda leaf: leaf.astype(np.float64), deployed.constants)
        predict = jax.jit(deployed.predict)
        parts = [rows[k : k + _EXACT].astype(np.float64) for k in range(0, len(rows), _EXACT)]
        return np.concatenate([np.asarray(predict(constants, *unpack(part))) for part in parts])


def _batch_distance(
    size: int, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
) -> BatchDistance:
    return BatchDistance(**vars(score_distance(a, b)), batch=size)
