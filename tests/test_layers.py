"""Data flows one way: no module imports one that stands after it, and none goes in a circle."""

import ast
from pathlib import Path

import pytest

ORDER = (
    *(
        "errors",
        "printable",
        "files",
        "interrupts",
        "progress",
        "environment",
    ),
    *("features", "tables", "teacher", "video", "corpora", "extraction", "models", "training"),
    *("evaluation", "export", "reporting", "runs", "scoring", "jobs"),
    *("torch", "torchmetrics", "benchmarks", "serving", "commands", "cli", "__main__"),
)
PACKAGE = Path("vmaf_jax")
MODULES = {
    ".".join(path.with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}


def imported(path):
    """The modules of ours that a module imports, those of its functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vmaf_jax"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("vmaf_jax"))


def floor(module):
    return ORDER.index(module.split(".")[1])


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upward(module):
    above = {
        name for name in imported(MODULES[module]) if "." in name and floor(name) > floor(module)
    }
    assert above == set()


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {f"{n}.__init__" if f"{n}.__init__" in MODULES else n for n in imported(path)}
        for module, path in MODULES.items()
    }
    done: set = set()

    def visit(module, trail):
        assert module not in trail, f"circle: {' -> '.join([*trail, module])}"
        if module in done:
            return
        for name in graph.get(module, ()):
            if not module.endswith("__init__") and not name.endswith("__init__"):
                visit(name, [*trail, module])
        done.add(module)

    for module in graph:
        visit(module, [])


def test_every_package_and_module_has_its_place():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    loose = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert packages | loose == set(ORDER)


def test_function_bodies_fit_a_screen():
    for path in MODULES.values():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                assert lines <= 60, f"{path}: {node.name} has {lines} lines"
