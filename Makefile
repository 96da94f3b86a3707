# Freshet's tasks. Every target does the set-up it needs; `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= ../shared/data/ml-100k
MESSAGES ?= 1000000
SEED ?= 1
TEST_PROCESSES ?= 3
SERVICES := ingestion feature ranking trainer
# The tag that deploy/compose.yaml runs: this variable, else the version of the project.
FRESHET_VERSION ?= $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help setup run test fuzz lint bench chaos evaluate proto replay images lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## virtual environment, pinned dependencies, generated code

$(STAMP): pyproject.toml requirements.lock protos/build_backend.py $(shell find protos -name '*.proto')
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Freshet needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing dependencies (the first time takes a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $(STAMP)

run: $(STAMP) ## the whole suite with a simulated shop and a live view; Ctrl-C ends it
	@$(BIN)/python -m deploy.local

test: $(STAMP) ## all tests, with real brokers; TEST_PROCESSES=3, 0 for one after the other
	@$(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder --ignore=tests/chaos/test_chaos.py

fuzz: $(STAMP) ## a million messages that must be refused, at both doors; SEED=1, MESSAGES=1000000
	@$(BIN)/python -m tests.fuzz --messages $(MESSAGES) --seed $(SEED)

lint: $(STAMP) ## style, types, imports, protos, deployment files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos
	$(BIN)/python -m deploy.lint

bench: $(STAMP) ## measure the budgets and write .freshet/bench.json
	@$(BIN)/python -m tests.bench

chaos: $(STAMP) ## kill every process at random under load, 50 times, and prove that nothing is lost or doubled
	@$(BIN)/python -m pytest tests/chaos/test_chaos.py
	@$(BIN)/python -m tests.chaos

evaluate: $(STAMP) ## leave-one-out through the live Recommend on DATA
	@$(BIN)/freshet evaluate --live --data $(DATA) --protocol leave-one-out

proto: $(STAMP) ## generate the code of the protos anew
	@$(BIN)/pip install --quiet --constraint requirements.lock grpcio-tools
	@$(BIN)/python protos/build_backend.py

replay: $(STAMP) ## send DATA (default ../shared/data/ml-100k) to the running suite
	@$(BIN)/freshet replay $(DATA)

images: ## build one container image per service (needs Docker)
	@for service in $(SERVICES); do \
	  docker build --build-arg SERVICE=$$service --file deploy/docker/Dockerfile --tag freshet-$$service:$(FRESHET_VERSION) . || exit 1; done

lock: $(STAMP) ## pin what is installed now
	@$(BIN)/pip freeze --exclude-editable --exclude freshet | sed -e 's/+cpu$$//' > requirements.lock

clean: ## remove the environment, generated code, caches and local data
	rm -rf $(VENV) .generated .freshet freshet.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
