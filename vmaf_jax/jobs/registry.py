"""`vmaf-jax registry verify`: the models that a folder offers are what its registry says."""

from pathlib import Path

from vmaf_jax.export import registry
from vmaf_jax.runs.locate import checkpoints


def verify_registry(path: Path | None = None) -> registry.Registry:
    """Reads a registry, by default that of the shipped models, and checks every file in it.

    Raises:
        InputError: as `export.registry.verify_registry`.
    """
    return registry.verify_registry(path or checkpoints() / "registry.json")
