# Two targets do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Bytecode is kept even where the environment asks for none: tests import the package in many processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test unlinted lint docs dist checkpoints web clean python-version

demo: $(STAMP)
	$(BIN)/python scripts/train.py --config configs/tiny.yaml --overwrite

test: lint unlinted

unlinted: $(STAMP)
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

web: $(STAMP)  # the page that scores in a browser, in build/web; SIZES="1920x1080 ..." names others
	cd web && npm install --no-package-lock --no-audit --no-fund --ignore-scripts --silent
	$(BIN)/python tools/web.py $(SIZES)

docs: $(STAMP)  # the pages as a site, in build/docs, a folder a release; broken links and anchors fail
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build  # not --quiet, which counts no warnings

dist: $(STAMP)  # sdist and wheel in dist/, checked
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build twine
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

checkpoints: $(STAMP)
	$(BIN)/python tools/checkpoints.py

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Said before anything is installed: an older Python would end in pip's "conflicting dependencies".
python-version:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "vmaf-jax needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo not there). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 2; }

# Modules are compiled when they are first imported; to compile all of them takes pip over a minute.
$(STAMP): pyproject.toml constraints.txt | python-version
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable '.[train,demo,dev,mcp,ray]'
	touch $@

clean:
	rm -rf $(VENV) runs build web/node_modules *.egg-info .pytest_cache .mypy_cache .ruff_cache
