# s2s for those who work on it: each target makes what it needs. Two ways to change what is used:
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cu130"    another build of torch
#   make test VENV=/path/to/environment PYTHON=python3.12                                   another place, another Python

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
JOEYNMT ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{ printf "make %-12s %s\n", $$1, $$2 }'

install: $(VENV)/.installed ## a virtual environment with s2s in it
demo: install ## train and compare two models of numbers: a few minutes, then a table and report.html
	$(BIN)/s2s compare numbers/bottleneck numbers/attention

demo-short: install ## a short form of the demo, which fails unless attention is far better
	$(BIN)/python tests/demo_short.py

test: $(VENV)/.installed-test ## the tests, without the slow ones
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed-test ## the tests that train for minutes
	$(BIN)/python -m pytest -m slow

faults: $(VENV)/.installed-test ## the tests that break things
	$(BIN)/python -m pytest tests/faults -m "not slow"

bench: install ## speed, beside JoeyNMT where JOEYNMT names its directory (and WORK where it may be set up)
	$(BIN)/python tests/bench/loop_overhead.py
	$(BIN)/python tests/bench/training_speed.py $(if $(JOEYNMT),--joeynmt $(JOEYNMT))
	$(BIN)/python tests/bench/decoding_speed.py $(if $(JOEYNMT),--joeynmt $(JOEYNMT))
	$(BIN)/python tests/bench/streaming.py

lint: $(VENV)/.installed-lint ## style, types and the layers of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## remove the virtual environment and what tools left behind
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

print-torch: # the requirement that `install` gives to pip
	@echo '$(TORCH)'

$(VENV)/.installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) $(TORCH)
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[test]'
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(INSTALL) --editable '.[lint]'
	touch $@

.DEFAULT_GOAL := help
.PHONY: help install demo demo-short test test-slow faults bench lint clean print-torch
