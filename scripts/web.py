"""Puts the page together in `build/web` (what `make web` runs, after npm)."""

import sys

del sys.path[0]  # this folder, whose select.py would stand in for the standard library's
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.jobs.web import DEFAULT_MODELS, DEFAULT_SIZES, build_page

if __name__ == "__main__":
    try:
        sizes = sys.argv[1:] or DEFAULT_SIZES
        build_page(Path("web"), Path("build/web"), DEFAULT_MODELS, sizes)
    except InputError as error:
        print(f"web: {error}", file=sys.stderr)
        sys.exit(2)
