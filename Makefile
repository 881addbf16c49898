# Everything happens in .venv of this folder; nothing is installed elsewhere. Override the interpreter with PYTHON=...
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

# Read when torch is imported: threads that spin while they wait are slow where the cores are shared.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo test lint train train-on train-off train-status benchmark clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/'

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || \
	  { echo "OncoPrompt needs Python 3.11 or newer and found none. Give one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP) ## Segment a synthetic study with one box; results in demo/
	$(BIN)/oncoprompt demo -o demo

lint: $(STAMP) ## Style, types and layering
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## Lint, then all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

CONFIG ?= configs/msm-seg-compact.toml
OUT ?= runs/msm-seg-compact
train: $(STAMP) ## Train from CONFIG into OUT; goes on from OUT/state.pt where there is one
	$(BIN)/oncoprompt train -c $(CONFIG) -o $(OUT) $(if $(wildcard $(OUT)/state.pt),--resume)

train-on: $(STAMP) ## Start the run of the default network in the background, or go on with it (CORES=2 where nobody works)
	@$(BIN)/python benchmarks/training_run.py on --cores $(or $(CORES),1)

train-off: $(STAMP) ## Save the state of that run and stop it
	@$(BIN)/python benchmarks/training_run.py off

train-status: $(STAMP) ## Tell how far that run is, how fast it goes and what it scores
	@$(BIN)/python benchmarks/training_run.py status

benchmark: $(STAMP) ## Print every figure the README quotes, and keep them in benchmarks/results/
	@mkdir -p benchmarks/results
	@for name in real_gliomas false_positives speed generator lesionwise \
	  tags_real_gliomas tags_words tags_speed tags_ct; do echo "== $$name"; \
	  $(BIN)/python benchmarks/$$name.py --markdown benchmarks/results/$$name.md || exit 1; done
	@for name in prompts missing-channels channel-order memory; do echo "== $$name"; \
	  $(BIN)/oncoprompt experiment $$name --data ../shared/data/brats2021 --schema brats2021 \
	  -o benchmarks/results/experiments || exit 1; done
	@echo "== fair-comparison"; $(BIN)/oncoprompt experiment fair-comparison --data ../shared/data/brats2021 \
	  --schema brats2021 --synthetic 2 --synthetic-ct 2 --seed 970000 --train-minutes 10 --draws 1 -o runs/fair-comparison
	@cp runs/fair-comparison/fair-comparison.* benchmarks/results/experiments/
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,benchmark]'
	@for name in images2d ct_lesions sparse_markers medsam_vit_b; do echo "== $$name"; \
	  $(BIN)/python benchmarks/$$name.py --markdown benchmarks/results/$$name.md || exit 1; done

clean: ## Remove the environment, caches and results of the demo
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache demo
