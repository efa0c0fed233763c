# make demo   see it work: no key, no network
# make test   run the tests
# make bench  measure speed and memory: half an hour on a quiet machine (BENCH_ARGS='--workloads rows')
#
# Needs Python 3.11 or newer with pip. Everything goes into .venv, or into the folder that VENV names.

PYTHON ?= python3
VENV ?= .venv
# Many tests wait for a process or a server more than they compute.
TEST_PROCESSES ?= 4
BIN := $(VENV)/bin
# Debian splits ensurepip off into python3-venv: where it is missing, the pip that is there fills the
# environment from outside, which is also what its "externally managed" rule wants.
PIP = $(if $(wildcard $(BIN)/pip),$(BIN)/python -m pip,$(PYTHON) -m pip --python $(BIN)/python)
INSTALL = @echo "installing oa-sync and what it needs into $(VENV)"; $(PIP) install --quiet --editable

.PHONY: demo test bench lint picture clean

demo: $(VENV)/.installed
	@$(BIN)/oa-sync demo

test: $(VENV)/.installed-test
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(PYTEST_ARGS)

bench: $(VENV)/.installed-bench
	@$(BIN)/python -m tests.benchmarks.speed $(BENCH_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

picture: $(VENV)/.installed
	$(BIN)/python docs/demo_screen.py

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(INSTALL) .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[bench]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[dev]'
	@touch $@ $(VENV)/.installed-test $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "oa-sync needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)

clean:
	rm -rf $(VENV) build dist
