# Every target does its own set-up: a virtual environment in .venv with the exact versions of constraints.txt.
# It is made once, and again when pyproject.toml or constraints.txt change.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo run test chaos scenarios quality bench bench-short ctgan peers lint format lock reference clean chromium
.DEFAULT_GOAL := help

help: ## Say what the targets do.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed-worker ## Train the digits through the REST API; leaves demo/samples.png and more.
	@$(BIN)/ganymede demo

run: .venv/installed-worker ## Run the service at http://127.0.0.1:8000 until Ctrl-C.
	@$(BIN)/ganymede up

# Trainers are nicer than those who wait for them, so beside other tests they would hardly get a turn: at the end of the
# scale all are alike. And what is started by the hundred need not be parsed each time.
test: export PYTHONDONTWRITEBYTECODE =
test: lint chromium ## Run every check: lint, types, import contracts, tests.
	nice -n 19 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --durations 20 --durations-min 10

MINUTES ?= 50
chaos: .venv/installed-test ## Break a running service on purpose for MINUTES=50, with SEED=a random one, and judge it.
	$(BIN)/python -m chaos storm --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) --record

scenarios: .venv/installed-test ## Measure each promise of docs/guarantees.md with the service's real constants.
	$(BIN)/python -m chaos scenario

BARS ?=
quality: .venv/installed-test $(if $(filter B9,$(or $(BARS),B9)),ctgan) ## Train the default recipes on known data, BARS="B1 B4" of them, JOBS=2 at a time; writes docs/quality.md.
	$(BIN)/python -m benchmarks.quality $(if $(BARS),--bars "$(BARS)") $(if $(JOBS),--jobs $(JOBS))

bench: .venv/installed-test peers ctgan ## Measure how fast everything is, ROWS="P1 S2" of it, beside the baseline and peers; writes docs/performance.md.
	$(BIN)/python -m benchmarks.speed $(if $(ROWS),--rows "$(ROWS)")

bench-short: .venv/installed-test ## The same for every day: two minutes, no peers, nothing written.
	$(BIN)/python -m benchmarks.speed --short $(if $(ROWS),--rows "$(ROWS)")

# Lightning and MLflow, in an environment of their own; where it cannot be had, their rows say so.
peers: build/peers/bin/python
	@cmp -s benchmarks/speed/peers.txt build/peers/installed || \
	  { build/peers/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/speed/peers.txt && \
	    cp benchmarks/speed/peers.txt build/peers/installed; } || \
	  echo "Lightning and MLflow could not be installed: their rows are absent." >&2

build/peers/bin/python: | .venv/bin/python
	$(PYTHON) -m venv build/peers

# Bars B9 and T1 compare with it. It has an environment of its own, never ours; where it cannot be had, its row says so.
ctgan: build/ctgan/bin/python
	@cmp -s benchmarks/quality/ctgan.txt build/ctgan/installed || \
	  { build/ctgan/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/quality/ctgan.txt && \
	    cp benchmarks/quality/ctgan.txt build/ctgan/installed; } || \
	  echo "ctgan could not be installed: bars B9 and T1 have no rival." >&2

build/ctgan/bin/python: | .venv/bin/python
	$(PYTHON) -m venv build/ctgan

lint: .venv/installed-test ## Run the checks that need no running code.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-test ## Bring the code into shape.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: ## Write constraints.txt anew from a fresh install; names and versions alone, so that each machine finds its build.
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check --editable '.[worker,test]'
	build/lock/bin/pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools \
	  | sed 's/+[^+]*$$//' | LC_ALL=C sort -f > constraints.txt

reference: .venv/installed-test ## Write the pages of docs/reference anew from the code.
	$(BIN)/python -m tests.reference

clean: ## Remove what the targets made, except the data in .ganymede.
	rm -rf .venv demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/installed-worker: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[worker]'
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --editable '.[worker,test]'
	@touch $@ .venv/installed-worker

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Ganymede needs Python 3.11 or newer. Name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# Some tests open the pages in a real browser.
chromium:
	@command -v chromium >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
	  { echo "The tests of the pages need a browser: install the package 'chromium'." >&2; exit 1; }
