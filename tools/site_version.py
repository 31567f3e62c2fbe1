"""Shows the release that the site is of, at the foot of every page; MkDocs calls `on_config`."""

import tomllib
from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Returns the site's configuration with the version in its footer."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    version = tomllib.loads(project.read_text())["project"]["version"]
    config.copyright = f"vmaf-jax {version}"
    return config
