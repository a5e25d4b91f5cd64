# Needs a Python with pip, and make. Everything else comes into .tools and .venv.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin/python -m
SUPPORTED := >=3.10,<3.14

.PHONY: setup demo test test-slow check bench clean
.DEFAULT_GOAL := setup

setup: .venv/ready

# Takes $(PYTHON) where it is supported, otherwise any supported Python that uv finds.
.venv/ready: pyproject.toml
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target .tools 'uv>=0.9'
	$(UV) venv --quiet --clear .venv --python "$$($(UV) python find --no-project '$(SUPPORTED)' 2>/dev/null || echo '$(SUPPORTED)')"
	$(UV) pip install --quiet --compile-bytecode --python .venv/bin/python --editable '.[dev]'
	touch $@

demo: setup
	.venv/bin/aoi demo

test: setup
	$(RUN) pytest -m 'not slow'

test-slow: setup
	$(RUN) pytest -m slow

check: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	.venv/bin/lint-imports

bench: setup
	.venv/bin/aoi bench

clean:
	rm -rf .venv .tools
