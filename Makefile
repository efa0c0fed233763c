# make demo       see it work: no key, no network
# make test       run the tests: five minutes on two cores
# make test-rest  run what is slow: every destination, kills and storms, more examples of each property
# make test-all   both, one after the other
# make simulate SEED=1 NIGHTS=3000  play nights of bad luck from a seed (docs/simulation.md)
# make mutants MODULE=oa_sync.quota.book  change one thing at a time, and see whether a test fails (tests/mutants)
# make security   ruff's security rules, the tests as strangers, the locks, known faults in them, an SBOM
# make dist       the wheel, and its bill of materials (CycloneDX)
# make lock       write the lock files anew: every package by version and hash (UPGRADE=1: the newest versions)
# make bench      measure speed and memory: half an hour on a quiet machine (BENCH_ARGS='--workloads rows')
#
# LOCKED=1 installs exactly what requirements-dev.lock names: make test LOCKED=1
# PYTEST_ARGS goes to pytest: make test PYTEST_ARGS='tests/sync -x'. CONTRIBUTING.md tells more.
# Needs Python 3.11 or newer with pip. Everything goes into .venv, or into the folder that VENV names.

PYTHON ?= python3
VENV ?= .venv
# On two cores: many tests wait for a process or a server, and each process more imports everything once more.
TEST_PROCESSES ?= 3
SEED ?= 0
NIGHTS ?= 3000
BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal
# Where it is set, every worker and every command that a test starts compiles all of oa-sync anew.
unexport PYTHONDONTWRITEBYTECODE
# Debian splits ensurepip off into python3-venv: where it is missing, the pip that is there fills the
# environment from outside, which is also what its "externally managed" rule wants.
PIP = $(if $(wildcard $(BIN)/pip),$(BIN)/python -m pip,$(PYTHON) -m pip --python $(BIN)/python)
ifdef LOCKED
# Build isolation would fetch the build backend once more, without a hash.
INSTALL = @echo "installing what requirements-dev.lock names into $(VENV)"; $(PIP) install --quiet --require-hashes -r requirements-dev.lock \
  && $(PIP) install --quiet --no-deps --no-build-isolation --editable
else
INSTALL = @echo "installing oa-sync and what it needs into $(VENV): about a minute, once"; $(PIP) install --quiet --editable
endif
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
  --no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: demo test test-rest test-all simulate mutants bench lint security lock dist picture clean

demo: $(VENV)/.installed
	@$(BIN)/oa-sync demo

test: $(VENV)/.installed-test
	@$(PYTEST) -m 'not rest' $(PYTEST_ARGS)

test-rest: $(VENV)/.installed-test
	@$(PYTEST) -m 'rest or hypothesis' --hypothesis-profile thorough $(PYTEST_ARGS)

test-all:
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory test-rest

simulate: $(VENV)/.installed-test
	@$(BIN)/python -m tests.simulation --seed $(SEED) --nights $(NIGHTS) $(if $(LIES),--lies) $(if $(LOG),--log)

mutants: $(VENV)/.installed-test
	@$(BIN)/python -m tests.mutants $(MODULE)

bench: $(VENV)/.installed-bench
	@$(BIN)/python -m tests.benchmarks.speed $(BENCH_ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

security: $(VENV)/.installed-security dist
	$(BIN)/ruff check .
	@$(BIN)/python -m pytest -n 0 -q -m 'not rest' tests/security
	$(BIN)/python .ci/audit.py requirements.lock requirements-dev.lock

lock: $(VENV)/.installed-security
	$(LOCK) -o requirements.lock
	$(LOCK) --extra dev --extra security -c requirements.lock -o requirements-dev.lock

dist: $(VENV)/.installed-security
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o dist/oa-sync.cdx.json

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

$(VENV)/.installed-security: pyproject.toml | $(BIN)/python
	$(INSTALL) '.[dev,security]'
	@touch $@ $(VENV)/.installed-dev $(VENV)/.installed-test $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "oa-sync needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip $(VENV)

clean:
	rm -rf $(VENV) build dist
