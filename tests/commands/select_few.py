"""`vmaf-jax` as a worker, whose demo corpus is of few clips: what a selection is judged on."""

import pytest

from vmaf_jax.cli import main
from vmaf_jax.corpora import demo


def few_clips(patch: pytest.MonkeyPatch) -> None:
    """One clip of each of the demo corpus's sources."""
    some = demo.load_clips()[::8]
    patch.setattr(demo, "load_clips", lambda: some)


if __name__ == "__main__":
    few_clips(pytest.MonkeyPatch())
    main()
