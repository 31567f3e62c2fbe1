"""Writes docs/reference.md from the code."""

import sys
from pathlib import Path

del sys.path[0]  # this folder, whose select.py would stand in for the standard library's
from vmaf_jax.cli import app
from vmaf_jax.commands.reference import reference
from vmaf_jax.files import write_text

if __name__ == "__main__":
    write_text(Path(__file__).parents[1] / "docs" / "reference.md", reference(app))
