# make demo   set everything up and let Slipstream optimize the built-in task "digits"
# make test   set everything up and run the whole test suite
# make lint   ruff and mypy
# make torture  kill, damage and starve what keeps runs, by the thousand; a table of what came of it
#               (some parts alone, as often as it says: make torture TORTURE="train=10 ask_jax damage")
# make audit  known holes in the libraries that are installed, by the package index
# make clean  remove the virtual environment and the caches; results under runs/ stay

BACKENDS := tensorflow jax torch
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

# PyTorch is installed first and alone, so that nothing after it chooses another build. Where the
# package index offers CUDA builds by default, point TORCH_PIP_ARGS to PyTorch's index of CPU builds:
#   make demo TORCH_PIP_ARGS="--index-url ADDRESS"
TORCH ?= torch==2.13.0
TORCH_PIP_ARGS ?=

# Every demo gets a folder of its own, so that no run writes over another.
OUT ?= runs/demo-$(shell date +%Y%m%d-%H%M%S)
BUDGET ?= 5m

PYTEST := $(BIN)/python -m pytest
PYTEST_ARGS ?=
# So many parts of the suite run at a time, each on one thread: two that take both cores each would
# wait for one another. The longest begin, so that the last ones end together.
JOBS ?= 2
test-core $(BACKENDS:%=test-%): export OMP_NUM_THREADS = 1

.PHONY: demo test test-core test-backends torture audit lint clean $(BACKENDS:%=test-%)

demo: $(VENV)/.installed
	$(BIN)/slipstream optimize digits --out $(OUT) --budget $(BUDGET)
	@echo "Report:        $(OUT)/report.html"
	@echo "Plan:          $(OUT)/plan.toml"
	@echo "Keras script:  $(OUT)/train.py"

test: $(VENV)/.installed-dev
	$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=target test-backends test-core

test-core: $(VENV)/.installed-dev
	env -u KERAS_BACKEND $(PYTEST) tests src $(foreach name,each_backend $(BACKENDS),--ignore=tests/on_$(name)) $(PYTEST_ARGS)

test-backends: $(BACKENDS:%=test-%)

# Keras fixes its backend when it is imported: one process for each, which also runs the folder of
# that backend alone (tests/on_torch). Examples in docstrings of
# modules that need Keras run here too.
$(BACKENDS:%=test-%): test-%: $(VENV)/.installed-dev
	KERAS_BACKEND=$* $(PYTEST) tests/on_each_backend $(wildcard tests/on_$*) src $(PYTEST_ARGS)

torture: $(VENV)/.installed-dev
	cd tests && env -u KERAS_BACKEND $(abspath $(BIN))/python -m torture $(TORTURE)

# In an environment of its own: what audits is no part of what is audited.
audit: $(VENV)/.installed
	@$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install --quiet pip-audit || \
	  { echo "Nothing was audited: pip-audit cannot be installed from the package index."; exit 1; }
	@$(VENV)/audit/bin/pip-audit --progress-spinner off --skip-editable --format json --path \
	  $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_paths()['purelib'])") | \
	  $(BIN)/python .ci/audit.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Slipstream needs Python 3.11 or newer: name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "Python's venv module is missing: apt-get install python3-venv, then make again."; \
	    exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps are as old as the last installation: a changed pyproject.toml brings a new one.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install $(TORCH_PIP_ARGS) "$(TORCH)"
	$(BIN)/python -m pip install -e '.[all]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install -e '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
