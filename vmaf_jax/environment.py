"""The machine: its processor, JAX's devices and compiled programs, package versions."""

import functools
import importlib.util
import logging
import os
import platform
import warnings
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.files import cache_dir

# Written out, since modules that look it up take a tenth of the time of a cached score to load.
__version__ = "0.2.0"
_HEARTBEAT_S = 30  # after which JAX takes a silent process for gone
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "onnx", "onnxruntime", "jax2onnx")


def environment() -> dict[str, object]:
    """Returns Python, processor, devices and package versions, by name, for `metrics.json`."""
    devices = []
    if importlib.util.find_spec("jax") is not None:
        import jax

        devices = [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "devices": devices,
        **{name: package_version(name) for name in _PACKAGES},
    }


def package_version(name: str) -> str:
    """Returns the version of an installed package, `none` where it is missing."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def processor() -> str:
    """Returns the CPU's name and its vector instructions, by which libraries choose kernels."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)  # the first core's
    fields = {key.strip(): value.strip() for key, value in pairs.items()}
    flags = fields.get("flags", "").split()
    vectors = " ".join(name for name in ("fma", "avx2", "avx512f") if name in flags) or "no AVX2"
    return f"{fields.get('model name', platform.machine())} ({vectors})"


def available_cores() -> int:
    """Returns the number of cores that this process may use; macOS knows no such limit."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_all_cores() -> None:
    """Makes each CPU core of this process a JAX device, so that members train side by side.

    Two devices of one core train the folds of a run about 1.7 times as fast as one of two cores.
    Has an effect only before JAX's first computation, and none where XLA_FLAGS names a count.
    Accelerators are untouched.
    """
    import jax

    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    try:
        jax.config.update("jax_num_cpu_devices", available_cores())
    except RuntimeError:
        return  # JAX already runs


def keep_compiled_programs() -> None:
    """Has JAX keep compiled programs in the user's cache, for the next process."""
    import jax

    folder = os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(cache_dir() / "xla")
    logging.getLogger("jax._src.compilation_cache").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent compilation")
    jax.config.update("jax_compilation_cache_dir", folder)
    # JAX's default keeps programs alone that took 1 s or more to compile.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@functools.cache
def keep_programs_by_default() -> None:
    """Keeps compiled programs for a Python caller who has set up no cache of JAX's.

    A gradient's program takes many seconds to compile. JAX decides at its first compilation whether
    there is a cache, so that decision is reset.
    """
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    settings: Any = jax.config  # its flags are unknown to type checkers
    if settings.jax_enable_compilation_cache and settings.jax_compilation_cache_dir is None:
        keep_compiled_programs()
        compilation_cache.reset_cache()


def check_devices() -> None:
    """Checks that JAX starts on the devices that JAX_PLATFORMS names; raises InputError if not."""
    import jax

    try:
        jax.devices()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: JAX cannot start ({reason}); "
            f"install what that platform needs, or unset the variable."
        ) from error


def prepare_training() -> None:
    """Prepares JAX, before it starts, for training: a device a core, compiled programs kept."""
    use_all_cores()
    keep_compiled_programs()
    check_devices()


def join_processes(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins this process to others whose devices train together, before JAX starts.

    Args:
        coordinator: `HOST:PORT` where process 0 listens.
        processes, process: Number of processes, and which of them this is. None is looked up in
            the environment by JAX: its own variables, Slurm's, Open MPI's, Kubernetes'.

    Raises:
        InputError: The environment does not say, or the others cannot be reached.
    """
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # SIGTERM saves the training
    try:
        jax.distributed.initialize(
            coordinator, processes, process, heartbeat_timeout_seconds=_HEARTBEAT_S
        )
    except (ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"--distributed: this process cannot join the others ({reason}); name --coordinator, "
            f"--processes and --process."
        ) from error


def is_first_process() -> bool:
    """Returns whether this process writes results: the only one, or process 0 of several."""
    import jax

    return jax.process_index() == 0


def several_processes() -> bool:
    """Returns whether the devices belong to more than one process."""
    import jax

    return jax.process_count() > 1


def prepare_extraction(backend: str) -> None:
    """Prepares JAX, where it measures, for an extraction: compiled programs are kept."""
    if backend == "jax":
        keep_compiled_programs()
        check_devices()
