# Everything that a developer does with Watson. `make` alone lists it.

PYTHON ?= python3
ARGS   ?=
SEED   ?=
SEEDS  ?= $(SEED)

VENV    := .venv
BIN     := $(VENV)/bin
# Its date says when what pyproject.toml asks for was last installed.
STAMP   := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast chaos check format services services-stop train bench limits recovery clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter of the first run; ARGS='-k kafka' goes to pytest."

install: $(STAMP) ## make .venv and install Watson with everything for development

demo: $(STAMP) ## segment about 30 photographs that come with Python packages; ends with a gallery to open
	$(BIN)/python -m watson.embedded.demo

test: $(STAMP) ## all tests, on real Kafka, Cassandra and S3 servers (needs JDK 17+, Maven, Go)
	@echo "Preparing the tests' servers (the first time: some minutes) ..."
	$(BIN)/python -m tests.services prepare
	$(BIN)/python -m pytest $(ARGS)

test-fast: $(STAMP) ## the tests that need neither servers nor torch: some seconds
	$(BIN)/python -m pytest -m "not services and not torch and not slow" $(ARGS)

chaos: $(STAMP) ## seeded faults on real servers, judged by an oracle: SEED=7, or SEEDS=1-20 (about ten minutes each)
	$(BIN)/python -m tests.services prepare
	$(BIN)/python -m tests.chaos $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

check: $(STAMP) ## lint, format, types, layers: what has to be clean
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## format the code and repair what the linter can
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

services: $(STAMP) ## leave one Kafka, Cassandra and S3 server running, for the tests and to play with
	$(BIN)/python -m tests.services prepare
	$(BIN)/python -m tests.services --detach

services-stop: $(STAMP) ## stop them and delete their data
	$(BIN)/python -m tests.services stop

train: $(STAMP) ## a model of one's own: composites, training, registration, a job through Kafka, its dataset measured
	$(BIN)/python -m benchmarks.own_model $(ARGS)

bench: $(STAMP) ## measure the model's own rate, the pipeline's and the cost of an event
	$(BIN)/python -m benchmarks

limits: $(STAMP) ## 200,000 queued events for each role, a listing of a million: some hours; prints what it measures
	$(BIN)/python -m tests.services prepare
	WATSON_LIMITS=full $(BIN)/python -m pytest tests/limits -s $(ARGS)

recovery: $(STAMP) ## measure the seconds until work goes on after a worker or the broker was killed
	$(BIN)/python -m tests.services prepare
	$(BIN)/python -m benchmarks.recovery $(ARGS)

clean: ## stop the servers; delete caches, downloads and the demo's output (.venv stays)
	@if [ -f .services/running.json ] && [ -x $(BIN)/python ]; then $(BIN)/python -m tests.services stop; fi
	rm -rf .services .watson demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: no '$(PYTHON)' here. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1); Watson needs 3.11 or newer. Name one: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot make virtual environments. Install its venv module (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@[ -d $(VENV)/lib ] || echo "The first run makes $(VENV) and downloads about 3 GB, most of it torch: some minutes."
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)
