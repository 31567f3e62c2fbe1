"""The Python that pages show runs, with the names that a page takes for granted."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from tests.docs.markdown import code_blocks

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
DEAR = {"jax-features.md", "vmaf-v1.md"}  # minutes of compiling; tests/features hold what they show
_SIZE = (3, 48, 64)


def blocks(page):
    """The page's Python: fenced as such, or indented and beginning with an import."""
    for block in code_blocks(page):
        begins = block.text.lstrip().startswith(("import ", "from "))
        if block.language == "python" or (not block.language and begins):
            yield block


WITH_PYTHON = [page for page in PAGES if any(blocks(page))]


def taken_for_granted(page):
    """What a page's Python does not make itself."""
    import jax

    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, _SIZE).astype(np.float32)
    distorted = np.clip(reference + rng.normal(0, 5, _SIZE), 0, 255).astype(np.float32)
    if page.name == "torch.md":
        torch = pytest.importorskip("torch", reason="pip install '.[torch]'")
        clips = (torch.tensor(frames)[None, :, None] for frames in (reference, distorted))
        return dict(zip(("reference", "distorted"), clips, strict=True))
    if page.name == "vmaf-v1.md":
        luma, chroma = np.full((3, 320, 384), 90, np.uint8), np.full((3, 160, 192), 128, np.uint8)
        y, u, v = (
            rng.integers(-9, 9, a.shape).astype(np.uint8) + a for a in (luma, chroma, chroma)
        )
        return {"y": y, "u": u, "v": v, "reference": (y, u, v)}
    n = 40
    mos = rng.uniform(0, 100, n)
    return {
        **{"jax": jax, "reference": reference, "distorted": distorted},
        **{"luma": reference.astype(np.uint8), "other_luma": distorted.astype(np.uint8)},
        **{"mos": mos, "mos_ci95": np.full(n, 5.0)},
        "source": np.array([f"s{k % 8}" for k in range(n)], object),
        "experiment": np.array(["one"] * n, object),
        **{name: np.clip(mos + rng.normal(0, 8, n), 0, 100) for name in ("predicted", "other")},
    }


def run(page, story, tmp_path, monkeypatch):
    """Runs the page's blocks as one program; the names that it leaves."""
    program = tmp_path / "page.py"
    program.write_text("\n".join(block.text for block in blocks(page)))
    names = taken_for_granted(page)
    monkeypatch.chdir(story)
    return runpy.run_path(str(program), init_globals=names)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=str(page), marks=pytest.mark.slow if page.name in DEAR else ())
        for page in WITH_PYTHON
    ],
)
def test_it_runs(page, story, tmp_path, monkeypatch):
    names = run(page, story, tmp_path, monkeypatch)
    for name in {"scores", "exact", "six", "gradient", "rows"} & names.keys():
        values = getattr(names[name], "per_frame", names[name])
        assert np.isfinite(np.asarray(getattr(values, "detach", lambda v=values: v)())).all(), name
    if "exact" in names:  # the README's: a student beside its teacher
        assert abs(names["scores"] - names["exact"]).max() < 0.3


def test_pages_have_python():
    assert {"README.md", "tutorial.md", "jax-features.md"} <= {page.name for page in WITH_PYTHON}
