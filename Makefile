# Needs a Python with pip, and make. Everything else comes into .tools and .venv.
PYTHON ?= python3
UV := .tools/bin/uv
RUN := .venv/bin/python -m
# A worker a core; what the tests of a file share is made once. Threads that wait leave the core to the other worker.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: setup demo test test-slow check bench build docs fuzz faults clean
.DEFAULT_GOAL := setup

setup: .venv/ready

# $(PYTHON) where it is supported, otherwise any supported Python that uv finds.
.venv/ready: pyproject.toml
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target .tools 'uv>=0.9'
	@if $(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'; \
	then python='$(PYTHON)'; else python='>=3.10,<3.14'; fi; \
	$(UV) venv --quiet --clear --python "$$python" .venv
	$(UV) pip install --quiet --compile-bytecode --python .venv/bin/python --editable '.[dev]'
	.venv/bin/aoi install-lava
	$(RUN) tests.compile_kernels # or the first run would wait for it, and each worker of the tests
	touch $@

demo: setup
	.venv/bin/aoi demo

test: setup
	OMP_WAIT_POLICY=passive $(RUN) pytest -m 'not slow' $(PARALLEL)

test-slow: setup
	OMP_WAIT_POLICY=passive $(RUN) pytest -m slow $(PARALLEL)

check: setup
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	.venv/bin/lint-imports

bench: setup
	.venv/bin/aoi bench

# Mutated inputs for everything that reads what others wrote: MINUTES=60 make fuzz
fuzz: setup
	$(RUN) tests.fuzz --minutes $(or $(MINUTES),3)

# Signals, full disks, few descriptors, a second instance: ROUNDS=200 make faults
faults: setup
	$(RUN) tests.faults --rounds $(or $(ROUNDS),40)

# Wheel and sdist, as the package index wants them.
build: setup
	rm -rf dist
	$(RUN) build
	$(RUN) twine check --strict dist/*

docs: setup
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

clean:
	rm -rf .venv .tools
