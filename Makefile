# `make demo` and `make test` work on a machine that has Python and git: each makes its own virtual environment,
# installs what it needs once, and is quick from then on. `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 7860
# The model that the Space serves: a Hub id or a folder; empty is the embedded one.
MODEL ?=
# More arguments for pytest: make test TESTS="tests/test_tasks.py -k box"
TESTS ?=
# Arguments for the benchmarks: make bench BENCH="--only start --quick"
BENCH ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test test-lowest quality style bench audit screenshot checkpoint-code clean

help: ## list the targets
	@echo "make TARGET [PYTHON=$(PYTHON)] [VENV=$(VENV)] [HOST=$(HOST)] [PORT=$(PORT)]"
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(VENV)/.dev ## make the virtual environment with everything (train, space, dev)

demo: $(VENV)/.space ## serve the Space at http://HOST:PORT (Ctrl-C stops it)
	@$(BIN)/python space/app.py --host $(HOST) --port $(PORT) $(if $(MODEL),--model $(MODEL))

# One thread a process: two processes of many threads each would fight for the cores.
test: $(VENV)/.dev ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(TESTS)

# The core alone, in the oldest versions that pyproject.toml promises, in an environment of its own.
CORE_TESTS := attack_types bad_checkpoints bad_input chat_template checkpoints claims composition configuration \
  connectors decision detector drafting embedded generation_modes image_processing masking modeling parts pipeline \
  processing pvtm quality remote_code savp scoring streaming tasks threads towers verdict visualize

test-lowest: ## run the core's tests with the oldest supported versions, in VENV-lowest
	@$(MAKE) --no-print-directory VENV=$(VENV)-lowest $(VENV)-lowest/.lowest
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest -n 2 --dist worksteal $(CORE_TESTS:%=tests/test_%.py)

quality: $(VENV)/.dev ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

style: $(VENV)/.dev ## mend style and format where ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure the table of docs/benchmarks.md; BENCH="--out docs/benchmarks.md" writes it there
	OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/run.py $(BENCH)

screenshot: $(VENV)/.dev ## photograph the Space into docs/images/space*.png (needs a Chromium)
	$(BIN)/python scripts/screenshot_space.py

audit: $(VENV)/.dev ## licences of all that is needed, and known vulnerabilities (needs pip-audit and its service)
	$(BIN)/python scripts/audit.py

checkpoint-code: ## copy the Hub set's code into the embedded checkpoint again
	cd faceshield_hf && for file in *_faceshield.py; do cp "$$file" assets/faceshield-tiny/; done

clean: ## remove the virtual environment, caches and build output
	rm -rf $(VENV) $(VENV)-lowest build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "faceshield needs Python 3.10 or newer," \
	  "and '$(PYTHON)' is $$($(PYTHON) --version 2>&1): name another one, as in 'make demo PYTHON=python3.12'" >&2; exit 1; }
	@echo "Making $(VENV) (only this first time; the downloads take a few minutes)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed: is Python's venv module installed" \
	  "(on Debian and Ubuntu: apt-get install python3-venv)?" >&2; exit 1; }

# torch goes first and by its exact version: later steps then find it installed, whichever build it is.
$(VENV)/.torch: constraints.txt | $(BIN)/python
	$(PIP) install "$$(grep '^torch==' constraints.txt)"
	@touch $@

$(VENV)/.space: $(INPUTS) $(VENV)/.torch
	$(PIP) install -e ".[space]" -c constraints.txt
	@touch $@

$(VENV)/.lowest: pyproject.toml constraints-lowest.txt $(VENV)/.torch
	$(PIP) install -e . hypothesis pytest pytest-xdist scikit-image scipy -c constraints-lowest.txt
	@touch $@

$(VENV)/.dev: $(INPUTS) $(VENV)/.torch
	$(PIP) install -e ".[dev]" -c constraints.txt
	@touch $@ $(VENV)/.space
