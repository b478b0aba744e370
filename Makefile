# The tested pair; setup.cfg has the range that the suite accepts.
TORCH ?= torch==2.14.1 torchvision==0.29.1
PYTHON ?= python3
# Further options for run_all.py, e.g. make table4 ARGS="--data-dir ~/mnist --seeds 3".
ARGS ?=
# Test processes side by side; each takes up to 2 GB.
PROCESSES ?= 2

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

# Status 4 says that cells are empty, which the tables say too: no reason to stop.
INCOMPLETE := test $$? -eq 4

# Those that are committed.
TABLES := --table all --table 3-variance --table 3-ranks --table 4-ranks --table 3-readings --table 4-readings --table 4-longer --table section3 --table mnist-baselines \
	--table rank-sweep --table rank-methods --table shape --table 5-samples --table 6-samples

# The sweep is a quick one; what it chooses is trained at the paper's settings. Longer runs go on from shorter ones, but
# one command would begin with the longer.
TRAINED := $(subst --table rank-sweep,,$(subst --table 4-longer,,$(TABLES)))

.DEFAULT_GOAL := help
.PHONY: help install table3 table4 table5 table6 figure1 tables collect reproduce docs report smoke benchmarks gpu-acceptance test coverage test-slow test-gpu check format clean

help: ## list these targets
	@grep -hE '^[a-z0-9 -]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 34

install: $(VENV)/installed ## make .venv and install the package in it

table3 table4 table5 table6: $(VENV)/installed ## train what is missing, and write that table
	$(BIN)/python run_all.py --table $(subst table,,$@) $(ARGS)

figure1: $(VENV)/installed ## train what is missing, and draw FID against latent dimension
	$(BIN)/python run_all.py --figure 1 $(ARGS)

tables: $(VENV)/installed ## the same for Tables 3 to 6
	$(BIN)/python run_all.py --table all $(ARGS)

collect: $(VENV)/installed ## write the tables and figures from cached runs, without training
	$(BIN)/python run_all.py --collect --table all --figure all $(ARGS) || $(INCOMPLETE)

report: $(VENV)/installed ## report.html from cached runs: claims, tables, figures and runs on one page
	$(BIN)/python run_all.py --report $(ARGS)

reproduce: $(VENV)/installed ## the documents' tables at the paper's settings, 3 seeds: days, see docs/reproduction.md
	$(BIN)/python run_all.py --plan --profile paper --seeds 3 $(TRAINED) $(ARGS)
	$(BIN)/python run_all.py --profile paper --seeds 3 $(TRAINED) --figure all $(ARGS) || $(INCOMPLETE)
	$(MAKE) docs

docs: $(VENV)/installed ## tables, figures, and those of README.md and docs/reproduction.md, without training
	$(BIN)/python run_all.py --collect $(TABLES) --figure all || $(INCOMPLETE)
	$(BIN)/python -m docs.embed README.md docs/reproduction.md

smoke: $(VENV)/installed ## whole tables, a figure and a report of embedded digits and generated shapes, in two minutes
	$(BIN)/python run_all.py --table 4 --table 6 --figure 1 --report .smoke/report.html --profile smoke \
		--runs-dir .smoke/runs --tables-dir .smoke/tables --figures-dir .smoke/figures $(ARGS)

benchmarks: $(VENV)/installed-dev ## speed as ratios against baselines in the same run: an hour of a quiet machine
	for name in startup scaling evaluation training methods preparation faults; do $(BIN)/python -m benchmarks.$$name || exit 1; done

gpu-acceptance: $(VENV)/installed-dev ## whether a GPU does what a CPU does, and how fast
	$(BIN)/python -m benchmarks.acceptance $(ARGS)

test: $(VENV)/installed-dev ## the tests (minutes; no GPU and no network needed)
	$(BIN)/python -m pytest -n $(PROCESSES) $(ARGS)

coverage: $(VENV)/installed-dev ## the tests, and which lines of bench/ they run
	$(BIN)/python -m pytest -n $(PROCESSES) --cov=bench --cov-report=term:skip-covered $(ARGS)

test-slow: $(VENV)/installed-dev ## the tests that take longer, or need the network
	$(BIN)/python -m pytest -m "slow or network" $(ARGS)

test-gpu: $(VENV)/installed-dev ## the tests that need an NVIDIA GPU
	$(BIN)/python -m pytest -m gpu $(ARGS)

check: $(VENV)/installed-dev ## ruff and mypy
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/installed-dev ## ruff's formatter and its safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv, .smoke and tools' caches; runs, tables, figures and data stay
	rm -rf $(VENV) .smoke .mypy_cache .pytest_cache .ruff_cache *.egg-info

# PyTorch first and pinned: a range alone would pull whatever build is newest.
$(VENV)/installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable ".[dev]"
	touch $@
