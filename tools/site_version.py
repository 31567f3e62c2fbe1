"""Puts the site of each release into a folder of its own, and lists them for the selector.

MkDocs calls `on_config` and `on_post_build`. The theme reads `versions.json` beside those folders.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

_REDIRECT = '<!doctype html><meta http-equiv="refresh" content="0; url={}/index.html">\n'


def on_config(config: Any) -> Any:
    """Returns the site's configuration with the version in its footer and its folder's name."""
    project = Path(__file__).parents[1] / "pyproject.toml"
    version = tomllib.loads(project.read_text())["project"]["version"]
    config.copyright = f"vmaf-jax {version}"
    config.site_dir = str(Path(config.site_dir) / version)
    return config


def on_post_build(config: Any) -> None:
    """Lists the releases whose sites are there, and leads from the folder above to the newest."""
    folder = Path(config.site_dir).parent
    releases = [path.parent.name for path in folder.glob("*/index.html")]
    newest_first = sorted(releases, key=_numbers, reverse=True)
    entries = [{"version": name, "title": name, "aliases": []} for name in newest_first]
    (folder / "versions.json").write_text(json.dumps(entries) + "\n")
    (folder / "index.html").write_text(_REDIRECT.format(newest_first[0]))


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
