# Unfold's commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BENCH_VENV ?= .venv-bench
PYTHON := $(VENV)/bin/python
# Errors are shown, progress and notices are not. A constraint file pins what our pins bring along.
PIP := -m pip install -qq --disable-pip-version-check

# The first interpreter that can do it; PYTHON3=... chooses another.
PYTHON3 ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$p"; break; }; done)

# On all cores, a file at a time; toy networks train fastest on one thread each. `make test TESTS=tests/models`
# runs a part, `make test WORKERS=0` all of it in one process.
WORKERS ?= auto
TESTS ?=
PYTEST = OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n $(WORKERS) --dist loadfile $(TESTS)

# An environment that somebody made by hand can be of an older Python.
NEW_ENOUGH = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(VENV) is of Python " + sys.version[:4] + \
	": Unfold needs 3.11 or newer. Remove $(VENV), then run this again.")'

REQUIREMENTS := requirements.txt requirements-trainer.txt requirements-dashboard.txt requirements-shared.txt constraints.txt

# One environment: what ran last is kept in a stamp, so that a second `make` installs nothing.
$(VENV)/pyvenv.cfg:
	@[ -n "$(PYTHON3)" ] || { echo "Unfold needs Python 3.11 or newer with its venv module (Debian: apt-get install python3-venv)." \
		"If it has another name: make app PYTHON3=/path/to/python3.12" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON3) --version)"
	@$(PYTHON3) -m venv $(VENV)

$(VENV)/.app: $(VENV)/pyvenv.cfg $(REQUIREMENTS)
	@$(NEW_ENOUGH)
	@echo "Installing requirements.txt (PyTorch is large: the first time takes minutes)"
	@$(PYTHON) $(PIP) -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/pyvenv.cfg requirements-dev.txt $(REQUIREMENTS)
	@$(NEW_ENOUGH)
	@echo "Installing requirements-dev.txt (PyTorch is large: the first time takes minutes)"
	@$(PYTHON) $(PIP) -r requirements-dev.txt
	@touch $(VENV)/.app $@

$(BENCH_VENV)/.bench: requirements-bench.txt | $(VENV)/pyvenv.cfg
	@echo "Installing requirements-bench.txt into $(BENCH_VENV)"
	@$(PYTHON3) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP) -r requirements-bench.txt
	@touch $@

.PHONY: app test check lint format bench prove faults reproduce papers secrets pins clean help browser postgresql

# The dashboard starts a training service where none runs; that one, and no other, ends with it.
app: $(VENV)/.app  ## Set up what is missing and start Unfold; Ctrl-C stops it
	@exec $(PYTHON) -m dashboard $(if $(PORT),--server.port $(PORT))

browser: $(VENV)/.dev
	@PYTHON=$(PYTHON) .ci/browser

test: $(VENV)/.dev browser  ## Set up what tests need, a browser too, and run them all
	@$(PYTEST)

check: $(VENV)/.dev browser  ## Format, lint and types are checked, then all tests run, with branch coverage
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@$(PYTEST) --cov --cov-report=term:skip-covered

lint: $(VENV)/.dev  ## Check format, lint and types only
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy

format: $(VENV)/.dev  ## Format the code and mend what ruff can
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

bench: $(VENV)/.dev $(BENCH_VENV)/.bench  ## Measure Unfold beside its peers; writes benchmarks/results.md and .json
	@$(PYTHON) -m benchmarks --peer-python $(BENCH_VENV)/bin/python

postgresql:
	@.ci/postgresql

prove: $(VENV)/.dev browser postgresql  ## Try every promise of README's, with kills, outages and strangers
	@$(PYTHON) -m benchmarks.prove

faults: $(VENV)/.dev browser  ## Plant faults: each must break the promise that guards against it
	@$(PYTHON) -m benchmarks.prove.faults

reproduce: $(VENV)/.dev  ## Train what the README claims, and print the results as a table
	@$(PYTHON) -m benchmarks.reproduce

papers: $(VENV)/.dev  ## Train what the papers report, seed by seed; writes docs/papers.md
	@$(PYTHON) -m benchmarks.papers

secrets: secrets/token  ## Make secrets/token, the secret that docker-compose.yml reads

# Readable by all, for the containers run as another user; the folder is closed to others instead. Made without
# Python, which a machine with a container engine need not have.
secrets/token:
	@mkdir -p -m 700 secrets
	@token=$$(od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'); [ "$${#token}" -eq 64 ]; echo "$$token" > $@
	@chmod 644 $@

pins: $(VENV)/.dev  ## Write constraints.txt anew from what is installed
	@{ grep "^#" constraints.txt; $(PYTHON) -m pip freeze --all | sed -E '/^pip==/d; s/\+[a-z0-9.]+$$//'; } > constraints.new
	@mv constraints.new constraints.txt

clean:  ## Remove environments and caches; runs and corpora in .unfold stay
	@rm -rf $(VENV) $(BENCH_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## List these commands
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-18s %s\n' "$$name" "$$text"; done
