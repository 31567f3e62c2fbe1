"""What an accelerator does for each part of vmaf-jax, beside the CPU of the same machine.

    python -m benchmarks.gpu --out FOLDER [--seconds 480] [--small]

Runs the tests marked `gpu`, then every stage in a process of its own, and writes `gpu.json` and
`gpu.html`. A stage that no time is left for, or that fails, is named with the reason. Where JAX
sees no accelerator everything runs on the CPU, and the page says so. `--small` takes few frames and
steps, to try the benchmark itself.
"""

import argparse
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vmaf_jax.benchmarks.timing import Figure, Figures, machine, sample, throughput
from vmaf_jax.files import to_json, write_text
from vmaf_jax.reporting.page import header, page, plain_table, section

_SIZES = {"576x324": (576, 324, 48), "1920x1080": (1920, 1080, 16), "3840x2160": (3840, 2160, 4)}
_LARGEST_SHARE = 0.3  # of the time, for one stage, so that a slow one leaves time for the others
_SEARCH = {
    "name": "temperature",
    "data": {"corpus": "demo"},
    "student": {"network": "tiny", "dropout": 0.1},
    "training": {"loss": "kl", "learning_rate": 0.02, "seeds": [0, 1, 2, 3, 4]},
    "sweep": {"training.temperature": [1, 2, 4, 8]},
}


def measure_features(size: str, small: bool) -> Figures:
    """Measures frames a second of the six features, of VMAF v1's, and of a gradient.

    Frames lie in the device's memory. The peak is of the device's memory after all of them, MiB,
    where JAX tells it.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from vmaf_jax.extraction.jax import FrameShape, feature_program, frames_side_by_side
    from vmaf_jax.features.feature_set import FEATURES, V1_FEATURES
    from vmaf_jax.teacher.pixels import vmaf

    width, height, n = _SIZES[size]
    n, device = (2, jax.devices()[0]) if small else (n, jax.devices()[0])
    shape = FrameShape(height, width, height // 2, width // 2)
    rng = np.random.default_rng(0)
    frames = rng.integers(16, 236, (2, n, shape.samples), np.uint8)
    reference, distorted = jax.device_put((frames[0], frames[1]))
    luma = [side[:, : height * width].reshape(n, height, width) for side in frames]
    floats = [jax.device_put(jnp.asarray(side, jnp.float32)) for side in luma]
    gradient = jax.jit(jax.value_and_grad(lambda y: vmaf(floats[0], y, clip=False).sum()))
    operands = (reference, distorted, reference[:1], np.arange(n) == 0, np.int32(n))
    block = frames_side_by_side(device, n)

    def rows(name: str) -> Callable[[], object]:
        feature_set = FEATURES if name == "features" else V1_FEATURES
        program = feature_program(feature_set)
        of_luma = FrameShape(height, width, 0, 0)
        if feature_set is FEATURES:
            arrays = [jax.device_put(side.reshape(n, -1)) for side in luma]
            inputs = (*arrays, arrays[0][:1], *operands[3:])
            return lambda: jax.block_until_ready(
                program.rows(*inputs, shape=of_luma, bits=8, block=block)
            )
        return lambda: jax.block_until_ready(
            program.rows(*operands, shape=shape, bits=8, block=block)
        )

    subjects: dict[str, Callable[[], object]] = {name: rows(name) for name in ("features", "v1")}
    subjects["VMAF of floats"] = lambda: jax.block_until_ready(vmaf(*floats, clip=False))
    subjects["its gradient"] = lambda: jax.block_until_ready(gradient(floats[1]))
    times = sample(subjects, 1 if small else 5)
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
    memory: Figure = "not told" if peak is None else peak / 2**20
    rates = {f"{name}, frames/s": throughput(t, n).rows_per_s for name, t in times.items()}
    return {"device": device.device_kind, **rates, "peak memory, MiB": memory}


def measure_products(small: bool) -> Figures:
    """Measures float32 products of square matrices in full precision and as TF32 would do them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    n = 256 if small else 4096
    a, b = np.random.default_rng(0).standard_normal((2, n, n), np.float32)
    exact = np.asarray(a[:8], np.float64) @ np.asarray(b, np.float64)
    report: dict[str, Figure] = {}
    x, y = jax.device_put((a, b))
    for precision in ("highest", "tensorfloat32"):
        with jax.default_matmul_precision(precision):
            product = jax.jit(jnp.matmul).lower(x, y).compile()
        run = functools.partial(_wait_for, product, x, y)
        timing = sample({"product": run}, 5)["product"]
        report[f"{precision}, GFLOP/s"] = 2 * n**3 / timing.median_s / 1e9
        report[f"{precision}, largest error"] = float(np.abs(product(x, y)[:8] - exact).max())
    return report


def _wait_for(function: Callable[..., object], *operands: object) -> None:
    import jax

    jax.block_until_ready(function(*operands))


def _search(folder: Path, small: bool) -> list[str]:
    """Returns the command line of the temperature search: 4 temperatures, 9 folds, 5 seeds."""
    config = folder / "temperature.yaml"
    write_text(config, to_json(_SEARCH))  # JSON is YAML
    steps = f"training.steps={20 if small else 1500}"
    line = ["train", "--config", str(config), "--run-dir", str(folder / "temperature")]
    return [*line, "--set", steps, "--overwrite"]


def _recipe(folder: Path, small: bool) -> list[str]:
    """Returns the command line of the training recipe on the demo corpus."""
    line = ["bench", "train", "--features", str(folder / "demo.parquet"), "--json"]
    return [*line, "--epochs", "2", "--seeds", "1"] if small else line


def run_stages(folder: Path, seconds: float, small: bool) -> dict[str, object]:
    """Runs every stage while time is left; returns what each printed, or why it did not run."""
    cli, here = [sys.executable, "-m", "vmaf_jax"], [sys.executable, "-m", "benchmarks.gpu"]
    flags = ["--small"] if small else []
    sizes = list(_SIZES)[:1] if small else list(_SIZES)
    on_cpu = {"JAX_PLATFORMS": "cpu"}
    stages: dict[str, tuple[list[str], Mapping[str, str]]] = {
        "tests": ([sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/test_gpu.py"], {}),
        **{f"features {s}": ([*here, "--stage", s, *flags], {}) for s in sizes},
        "demo corpus by libvmaf": (
            [*cli, "extract", "--corpus", "demo", "--out", str(folder / "demo.parquet"), "--json"],
            {},
        ),
        "compare-backends": ([*cli, "compare-backends", "--corpus", "demo", "--json"], {}),
        "temperature search": ([*cli, *_search(folder, small)], {}),
        "recipe of train": ([*cli, *_recipe(folder, small)], {}),
        "float32 and TF32": ([*here, "--stage", "products", *flags], {}),
        # The CPU comes last: it is what the time may not reach.
        **{f"features {s}, CPU": ([*here, "--stage", s, *flags], on_cpu) for s in sizes},
    }
    if small:
        del stages["compare-backends"]
    end = time.monotonic() + seconds
    report: dict[str, dict[str, object]] = {}
    for name, (line, variables) in stages.items():
        print(f"{name} ...", file=sys.stderr)
        started = time.monotonic()
        left = min(end - started, seconds * _LARGEST_SHARE)
        answer = _run_within(left, line, {**os.environ, **variables}) if left > 0 else None
        reason = f"took longer than {left:.0f} s" if left > 0 else "no time was left"
        report[name] = answer or {"not run": reason}
        if answer:
            report[name]["wall, s"] = time.monotonic() - started
    metrics = folder / "temperature" / "metrics.json"
    if metrics.is_file():
        report["temperature search"]["timing"] = json.loads(metrics.read_text())["timing"]
    return {"machine": machine(), **report}


def _run_within(
    seconds: float, line: list[str], environment: Mapping[str, str]
) -> dict[str, object] | None:
    """Returns what a stage printed, its JSON or the last line of words; None if it takes longer."""
    with subprocess.Popen(
        line,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, words = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.returncode is None:  # a stage has processes of its own
                os.killpg(process.pid, signal.SIGKILL)
    try:
        answer: dict[str, object] = dict(json.loads(printed))
    except ValueError:
        said = (printed + words).strip().splitlines()
        answer = {"said": said[-1] if said else "nothing"}
    return {"failed with": process.returncode} | answer if process.returncode else answer


def show_page(report: Mapping[str, object]) -> str:
    """Returns the report as a page of tables, one for each stage."""
    body = [header("vmaf-jax on this machine", "", [], [])]
    for k, (name, figures) in enumerate(report.items()):
        rows = _flatten(figures)
        body.append(section(f"s{k}", name, [plain_table(["figure", "value"], rows)]))
    return page("vmaf-jax on this machine", body)


def _flatten(value: object, path: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [row for key, x in value.items() for row in _flatten(x, f"{path} {key}".strip())]
    if isinstance(value, list):
        return [row for k, x in enumerate(value) for row in _flatten(x, f"{path} {k}")]
    return [(path, f"{value:.4g}" if isinstance(value, float) else str(value))]


def main() -> int:
    """Runs the benchmark, or one stage of it, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"), help="folder of the report")
    parser.add_argument("--seconds", type=float, default=480, help="time for all stages")
    parser.add_argument("--small", action="store_true", help="few frames and steps")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage == "products":
        print(to_json(measure_products(options.small)))
    elif options.stage:
        print(to_json(measure_features(options.stage, options.small)))
    else:
        options.out.mkdir(parents=True, exist_ok=True)
        report = run_stages(options.out, options.seconds, options.small)
        write_text(options.out / "gpu.json", to_json(report))
        write_text(options.out / "gpu.html", show_page(report))
        print(options.out / "gpu.html")
    return 0


if __name__ == "__main__":
    sys.exit(main())
