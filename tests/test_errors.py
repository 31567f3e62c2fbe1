"""What the packages of `pip install vmaf-jax` suffice for, and what is said where an extra lacks.

A process that finds no other package stands in for a bare environment; one that is really built,
and weighed, is in tests/end_to_end/test_wheel.py.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BARE = '''
import contextlib, io, json, sys
from importlib import machinery, metadata
from packaging.requirements import Requirement


def normal(name):
    return name.lower().replace("_", "-")


def closure(lines):
    """Distributions that requirements bring, extras apart."""
    names, left = {"vmaf-jax"}, [Requirement(line) for line in lines]
    while left:
        if (name := normal(left.pop().name)) not in names:
            names.add(name)
            lines = map(Requirement, metadata.requires(name) or ())
            left += [q for q in lines if q.marker is None or q.marker.evaluate({"extra": ""})]
    return names


commands, code, requirements = json.loads(sys.argv[1])
base = closure(requirements)
owners = metadata.packages_distributions().items()
hidden = {module for module, by in owners if not base & set(map(normal, by))}


class Finder(machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            return None
        return super().find_spec(name, path, target)


sys.meta_path[:] = [Finder if f is machinery.PathFinder else f for f in sys.meta_path]
from vmaf_jax.cli import main

results = []
for words in commands:
    out, error, ended = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main(words, leave=False)
        except SystemExit as end:
            ended = end.code
    results.append([ended, out.getvalue(), error.getvalue()])
said = {}
exec(code, said)
print(json.dumps([results, said["answers"], sorted(hidden & {"jax", "matplotlib", "orbax"})]))
'''
PYTHON = """
import sys, vmaf_jax
from vmaf_jax.features import FEATURES
from vmaf_jax.jobs.doctor import list_backends
scored = vmaf_jax.score("ref.y4m", "dis.mp4", model="nano").pooled
loaded = float(vmaf_jax.load_model("nano")([[0.95, 0.6, 0.9, 0.94, 0.96, 3.2]])[0])
try:
    vmaf_jax.vmaf
except vmaf_jax.InputError as error:
    refused = str(error)
backends = [(backend.name, backend.live) for backend in list_backends()]
answers = [scored, loaded, refused, backends]
"""
MANIFEST = "reference,distorted,source\nref.y4m,dis.mp4,a\n"
WORKING = {
    "students": ["score", "ref.y4m", "dis.mp4", "--model", "tiny", "--interval", "0.9", "--json"],
    "votes": ["score", "ref.y4m", "dis.mp4", "--model", "opinions", "--json"],
    "another distance": [
        *("score", "ref.y4m", "dis.mp4", "--model", "opinions"),
        "--distance",
        "3.2",
    ],
    "VMAF's own": ["score", "ref.y4m", "dis.mp4", "--model", "auto", "--json"],
    "pages": ["score", "ref.y4m", "dis.mp4", "--html", "page.html", "--json"],
    "tables": [*("extract", "--corpus", "manifest", "--manifest", "m.csv"), "--out", "t.parquet"],
    "evaluation": ["evaluate", "--model", "tiny", "--features", "t.parquet", "--json"],
    "the machine": ["doctor", "--json"],
    "the registry": ["registry", "verify"],
}
REFUSED = {
    "train": ["train", "--config", "nano"],
    "select": ["select", "--config", "selection"],
    "export": ["export", "--model", "nano", "--format", "libvmaf", "--out", "m.json"],
    "plots": ["score", "ref.y4m", "dis.mp4", "--plot", "plot.png"],
    "the JAX backend": ["score", "ref.y4m", "dis.mp4", "--backend", "jax"],
    "run folders": ["score", "ref.y4m", "dis.mp4", "--model", "run"],
    "mcp": ["mcp"],
    "ray": [*("score", "ref.y4m", "dis.mp4", "ref2.y4m"), "--engine", "ray", "--address", "auto"],
}


@pytest.fixture(scope="module")
def bare(encodes):
    """Results of the commands by their cases, what Python answered, and what was hidden."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    (encodes / "m.csv").write_text(MANIFEST)
    run = Path("checkpoints/nano").resolve()
    (encodes / "run").symlink_to(run, target_is_directory=True)
    commands = [*WORKING.values(), *REFUSED.values()]
    request = json.dumps([commands, PYTHON, project["dependencies"]])
    line = [sys.executable, "-c", BARE, request]
    result = subprocess.run(line, cwd=encodes, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    results, answers, hidden = json.loads(result.stdout)
    return dict(zip([*WORKING, *REFUSED], results, strict=True)), answers, hidden


@pytest.mark.parametrize("case", WORKING)
def test_scoring_and_evaluating_need_no_extra(bare, case):
    results, _, hidden = bare
    assert hidden == ["jax", "matplotlib", "orbax"]
    code, _, error = results[case]
    assert code == 0, error


@pytest.mark.parametrize("case", REFUSED)
def test_a_missing_package_is_told_with_its_extra(bare, case):
    code, out, error = bare[0][case]
    extra = case if case in ("mcp", "ray") else "train"
    assert (code, out) == (2, "")
    (line,) = [line for line in error.splitlines() if line.startswith("vmaf-jax: ")]
    assert line.startswith(f"vmaf-jax: this needs the extra {extra} (")
    assert line.endswith(f"is not installed): pip install '.[{extra}]' in a clone of vmaf-jax.")


def test_python_scores_and_tells_too(bare):
    results, (scored, loaded, refused, backends), _ = bare
    assert abs(scored - json.loads(results["students"][1])["score"]) < 1
    assert abs(loaded - 84.8) < 0.1
    assert refused.endswith("pip install '.[train]' in a clone of vmaf-jax.")
    assert backends == [["libvmaf", True], ["jax", False]]
