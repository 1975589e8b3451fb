# `make demo` and `make test` are all the set-up there is; both work in a fresh clone. `make help` lists the rest.

# Debian's own Python is built with PGO and LTO: twice as fast as a plain build such as one often finds in /usr/local.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11 /usr/bin/python3) python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench echo docs clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.run ## four small services with the gateway in front; Ctrl-C stops all of it
	@exec $(BIN)/ttagw demo

test: $(VENV)/.test $(VENV)/provider/.done ## all checks, then all tests with branch coverage (WORKERS=3 processes)
	@echo "== programs that the tests need"
	@tests/install.sh tests
	@$(MAKE) --no-print-directory check
	@echo "== tests"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n $(WORKERS) --dist worksteal
	@echo "== coverage"
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

check: $(VENV)/.test ## formatter check, linter, types, import arrows
	@echo "== format"
	@$(BIN)/ruff format --check .
	@echo "== lint"
	@$(BIN)/ruff check .
	@echo "== types"
	@$(BIN)/mypy
	@echo "== import arrows"
	@$(BIN)/lint-imports

format: $(VENV)/.test ## format the code, mend what the linter can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.run ## measure beside the peers that are installed (ARGS="--quick --only ttagw,haproxy", "--chain", "--accuracy", "--overload")
	@$(BIN)/python -m benchmarks $(ARGS)

echo: $(VENV)/.test ## 200,000 distinct requests over mixed, pipelined, aborted connections: every echo is checked
	@TTAGW_ECHO_REQUESTS=200000 $(BIN)/python -m pytest -q tests/integration/test_echo.py

docs: $(VENV)/.docs ## the manual, as docs/_build/index.html
	@$(BIN)/sphinx-build -q -W -b html docs docs/_build
	@echo "docs/_build/index.html"

clean: ## remove everything that make has made, the virtual environment included
	@rm -rf $(VENV) docs/_build build dist .coverage .coverage.* .hypothesis .ruff_cache .mypy_cache .import_linter_cache
	@find ttagw twisted tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
	@rm -f twisted/plugins/dropin.cache twistd.pid

$(BIN)/python:
	@echo "== virtual environment ($(PYTHON))"
	@tests/install.sh venv $(PYTHON)
	@$(PYTHON) -m venv $(VENV)

# One stamp for each set of dependencies: the demo does not wait for what only the tests need.
$(VENV)/.run: pyproject.toml | $(BIN)/python
	@echo "== installing ttagw"
	@$(PIP) -e .
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	@echo "== installing ttagw and what the tests need"
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/provider/.done: tests/integration/kit/provider.txt | $(BIN)/python
	@echo "== installing the identity provider of the tests"
	@$(PYTHON) -m venv $(VENV)/provider
	@$(VENV)/provider/bin/python -m pip --quiet --disable-pip-version-check install -r $<
	@touch $@

$(VENV)/.docs: pyproject.toml | $(BIN)/python
	@echo "== installing what the manual needs"
	@$(PIP) -e '.[docs]'
	@touch $@
