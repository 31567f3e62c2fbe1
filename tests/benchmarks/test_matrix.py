"""The matrix of builds runs what `export` writes, and tells a refusal from a difference."""

from pathlib import Path

import pytest

from benchmarks import filter_by_build, matrix, measure_by_package, torch_luma
from benchmarks.matrix import Cell, measure_ffmpeg_builds, measure_runtimes, write_table
from vmaf_jax.errors import InputError


@pytest.mark.slow
def test_two_builds_of_ffmpeg(tmp_path, monkeypatch):
    builds = {name: matrix.FFMPEG_BUILDS[name] for name in ("4.2.2", "9.0.2")}
    monkeypatch.setattr(matrix, "FFMPEG_BUILDS", builds)
    from_jax, from_newest = measure_ffmpeg_builds(tmp_path)
    assert "pkl" in from_jax["4.2.2"]["rbf"].show()
    assert float(from_jax["9.0.2"]["rbf"].show()) < 2e-4  # logs have six decimals
    assert from_newest["9.0.2"]["rbf"].max_abs == 0


@pytest.mark.slow
def test_a_runtime_and_the_reference_evaluator(tmp_path, monkeypatch):
    if not matrix.WEB.is_dir():
        pytest.skip(f"no {matrix.WEB}; run `make web`")
    names = ("ONNX Runtime 1.32.0", "onnx.reference 1.23.2")
    monkeypatch.setattr(matrix, "RUNTIMES", {name: matrix.RUNTIMES[name] for name in names})
    table = measure_runtimes(tmp_path)
    assert table[names[0]]["tiny"].max_abs == 0
    assert "DequantizeLinear" in table[names[1]]["tiny, INT8"].show()


@pytest.mark.slow
def test_the_filter_answers_as_traps_md_says(tmp_path, monkeypatch):
    monkeypatch.setattr(filter_by_build, "BUILDS", ("9.0.2",))
    lines = filter_by_build.to_markdown(filter_by_build.measure(tmp_path)).splitlines()[2:]
    page = Path("docs/traps.md").read_text()
    for question, answer in (line.strip("| ").rsplit(" | ", 1) for line in lines):
        (row,) = [row for row in page.splitlines() if row.startswith(f"| {question} |")]
        assert row.strip("| ").rsplit(" | ", 1)[-1] == answer


@pytest.mark.slow
def test_packages_measure_as_traps_md_says(tmp_path, monkeypatch):
    try:
        measure_by_package.find_python("python3.12", "SSIMULACRA2")
    except InputError:
        rest = {q: ask for q, ask in measure_by_package.QUESTIONS.items() if "SSIM" not in q}
        monkeypatch.setattr(measure_by_package, "QUESTIONS", rest)
    page = Path("docs/traps.md").read_text().splitlines()
    for line in measure_by_package.to_markdown(measure_by_package.measure(tmp_path)).splitlines():
        assert line in page


@pytest.mark.slow
def test_vmaf_on_pytorch_scores_as_torch_md_says(tmp_path):
    page = Path("docs/torch.md").read_text().splitlines()
    for line in torch_luma.to_markdown(torch_luma.measure(tmp_path)).splitlines():
        assert line in page


def test_an_interpreter_that_does_not_run_is_named(tmp_path, monkeypatch):
    shim = tmp_path / "python9"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for name in ("python9", "python10"):
        with pytest.raises(InputError, match=f"no {name} that runs, which vszip needs"):
            measure_by_package.find_python(name, "vszip")


def test_a_table_replaces_the_one_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- matrix x -->\nold\n<!-- end -->\nb\n")
    table = {"row": {"file": Cell(0.25), "other": Cell(refused="too old")}}
    write_table(page, "x", matrix.to_markdown("runtime", table))
    text = page.read_text()
    assert text.startswith("a\n<!-- matrix x -->\n| runtime | file | other |\n")
    assert text.endswith("| row | 2.5e-01 | no: too old |\n<!-- end -->\nb\n")
