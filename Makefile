# Two entries: `make run` (set up what runs need, run the study on the lab) and
# `make test` (set up everything, run all tests). Both can be repeated.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Modules are compiled once, not again by each of the hundreds of processes that tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test setup lint lock clean

run:
	@PYTHON="$(PYTHON)" ./configs/setup/setup.sh runs
	@$(BIN)/echoaudit run personas/fashion.yaml $(ARGS)

# Tests wait a good deal, so three share two cores; browsers lose their patience when four do. Real sound needs the cores for itself, or it is lost.
test: setup lint
	@$(BIN)/pytest -n 3 --dist worksteal -m "not lab and not sound" $(ARGS)
	@$(BIN)/pytest -m "lab or sound" $(ARGS)

setup:
	@PYTHON="$(PYTHON)" ./configs/setup/setup.sh

lint: setup
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

# Recomputes the pinned versions for every supported Python.
lock: setup
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --all-extras --group dev \
	  --no-emit-package echoaudit --no-emit-index-url --upgrade --no-annotate --no-header \
	  -c configs/setup/limits.txt pyproject.toml -o configs/setup/constraints.txt

clean:
	rm -rf $(VENV) .cache build dist src/*.egg-info
