# Development targets; each installs what it needs. Two settings:
#   make demo TORCH="torch==2.13.0 --index-url URL"              use another build of torch, for a GPU say
#   make test VENV=/path/to/environment PYTHON=python3.12        use another environment or Python

PYTHON ?= python3
VENV ?= .venv
TORCH ?= torch==2.13.0
JOEYNMT ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{ printf "make %-12s %s\n", $$1, $$2 }'

install: $(VENV)/.installed ## create a virtual environment with s2s
demo: install ## train and compare two models in a few minutes; write comparison/
	$(BIN)/s2s compare numbers/bottleneck numbers/attention

demo-short: install ## run a short demo that fails unless attention wins clearly
	$(BIN)/python tests/demo_short.py

test: $(VENV)/.installed-test ## run the tests except the slow ones
	$(BIN)/python -m pytest

test-slow: $(VENV)/.installed-test ## run the tests that train for minutes
	$(BIN)/python -m pytest -m slow

faults: $(VENV)/.installed-test ## run the tests that kill, fill and damage
	$(BIN)/python -m pytest tests/faults tests/serving -m "not slow"

browser: $(VENV)/.installed-browser chromium ## test the pages of `s2s serve` and `s2s compare` in Chromium
	$(BIN)/python -m pytest tests/browser -m browser --dist loadfile

coverage: $(VENV)/.installed-test ## measure the tests' line coverage
	$(BIN)/python -m pytest --cov=s2s --cov-report=term:skip-covered

bench: install ## measure speed; JOEYNMT=DIR compares with JoeyNMT (WORK=DIR: where it is set up)
	$(BIN)/python tests/bench/loop_overhead.py
	$(BIN)/python tests/bench/training_speed.py $(if $(JOEYNMT),--joeynmt $(JOEYNMT))
	$(BIN)/python tests/bench/decoding_speed.py $(if $(JOEYNMT),--joeynmt $(JOEYNMT))
	$(BIN)/python tests/bench/streaming.py
	$(BIN)/python tests/bench/captioning.py
	$(BIN)/python tests/bench/data.py

gpu: install ## check and measure on a GPU; skipped without one
	$(BIN)/python tests/bench/gpu

lint: $(VENV)/.installed-lint ## check style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage

print-torch: # the requirement that `install` passes to pip
	@echo '$(TORCH)'

chromium:
	@command -v chromium chromium-browser google-chrome > /dev/null || { \
	  [ "$$(id -u)" = 0 ] || { echo "Chromium is missing: apt-get install chromium, as root" >&2; exit 1; }; \
	  apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium > /dev/null; }

$(VENV)/.installed: pyproject.toml Makefile
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) $(TORCH)
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL) --editable '.[test]'
	touch $@

$(VENV)/.installed-browser: $(VENV)/.installed
	$(INSTALL) --editable '.[browser]'
	touch $@

$(VENV)/.installed-lint: $(VENV)/.installed
	$(INSTALL) --editable '.[lint]'
	touch $@

.DEFAULT_GOAL := help
.PHONY: help install demo demo-short test test-slow faults browser chromium coverage bench gpu lint clean print-torch
