"""YAML files as plain values, within limits that are checked before any value is constructed.

Aliases are refused: a few nested ones can stand for more values than memory holds.
"""

from pathlib import Path
from typing import Any

import yaml

from vmaf_jax.errors import InputError
from vmaf_jax.files import limit, read_limited

MAX_BYTES = 1 << 20
_MAX_VALUES, _MAX_DEPTH = 100_000, 50
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML mapping from a file.

    Raises:
        InputError: The file is missing, unreadable, too large, broken, or no mapping.
    """
    content = read_limited(path, "CONFIG_BYTES", MAX_BYTES)
    try:
        values = parse_yaml(content.decode())
    except ValueError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not valid YAML ({reason}); correct it.") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, such as `name: tiny`.")
    return values


def parse_yaml(text: str) -> Any:
    """Parses a YAML document into dictionaries, lists and plain values.

    Raises:
        ValueError: The text is broken, holds several documents, aliases or tags of programs, is
            nested deeper than 50 levels, or has more than 100,000 values.
    """
    try:
        _check_events(text)
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, OverflowError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _check_events(text: str) -> None:
    most, depth, count = limit("CONFIG_VALUES", _MAX_VALUES), 0, 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases are not read; write the value out")
        count += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
        if count > most:
            raise ValueError(f"more than {most} values")
