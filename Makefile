# Parley's commands: `make run` and `make test` set up all that they need. Plain `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run install install-dev tools test fuzz soak check format lock bench bench-full

BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
COMPILE := $(BIN)/python -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --only-binary :all: --no-header --upgrade

# Each worker has servers and databases of its own, and mostly waits: there may be more of them than cores.
WORKERS ?= 3
TOGETHER := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope

# What these test does not ask which database it is; the others run on both.
SAME_WHEN_SERVED := bus bus_frames cache embedded_postgres markdown ordering passwords peers rate_limits redis_cache \
	postgres_upgrade redis_link settings texts two_nodes

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: install ## set up Parley and run it on http://127.0.0.1:8080
	@exec $(BIN)/python app.py

install: .venv/installed ## make .venv with what Parley needs to run

install-dev: .venv/installed-dev ## the same with what its developers need

tools: ## find or install the servers and the browser that only tests need
	@bash .ci/tools

test: install-dev tools ## set up all that tests need and run them all, with the embedded and a served PostgreSQL
	$(TOGETHER) --durations=10
	$(TOGETHER) --served tests/services tests/rest tests/ws $(SAME_WHEN_SERVED:%=--ignore=tests/services/test_%.py)

TIMES ?= 10
fuzz: install-dev tools ## try hostile input, TIMES (10) times as much as make test does, different in every run
	$(BIN)/python -m pytest tests/fuzz --fuzz $(TIMES) --timeout 0

soak: install-dev tools ## kill nodes and databases for some minutes while people send, then audit the history
	$(BIN)/python -m tests.soak

check: install-dev ## format, lint, types, import directions, JavaScript budget, locks, settings document
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m mypy . .ci/*.py
	$(BIN)/lint-imports
	$(BIN)/python .ci/javascript_budget.py
	$(BIN)/python .ci/lock.py --check
	$(BIN)/python .ci/settings.py --check

format: install-dev ## format the code and mend what lint can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: install-dev ## renew the locks from pyproject.toml
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(BIN)/python .ci/lock.py

bench: install-dev ## measure Parley
	$(BIN)/python -m benchmarks

bench-full: install-dev ## measure it with a million messages and thousands of connections too, for ten minutes
	$(BIN)/python -m benchmarks --full

.venv/bin/pip:
	@python=$$(bash .ci/find-python) && $$python -m venv .venv

.venv/installed: requirements.lock | .venv/bin/pip
	@echo 'Installing what Parley needs into .venv'
	@$(PIP_INSTALL) --requirement $<
	@touch $@

.venv/installed-dev: requirements-dev.lock | .venv/bin/pip
	@echo 'Installing what Parley and its developers need into .venv'
	@$(PIP_INSTALL) --requirement $<
	@touch $@ .venv/installed
