# `make` lists the targets. Each one makes the virtual environment it needs, once: .venv is brought up to date when
# pyproject.toml or constraints.txt changes, and is ready at once otherwise.
#
# On Linux a plain `pip install torch` brings several GB of CUDA libraries. Without a GPU, let pip find PyTorch's CPU
# wheels first (PIP_FIND_LINKS=folder or PIP_EXTRA_INDEX_URL=index); they satisfy torch==2.13.0 and win.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.ready-core
DEV    := $(VENV)/.ready-dev
PIP    := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow fresh quality mini mini-photos bench clean
.DELETE_ON_ERROR:

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-11s %s\n", $$1, $$2 }'

demo: $(CORE) ## caption the six bundled pairs with the embedded model, write demo.html
	@echo "== captioning the bundled pairs"
	$(BIN)/blip2idc demo --out demo.html

# Those of the metrics share one Java process of the machine, and run alone; of the others two files at a time, one thread
# each: more would contend for two cores.
test: $(DEV) ## run the tests (all but the slow ones)
	@echo "== tests"
	$(BIN)/python -m pytest -q tests/metrics
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --durations=10 --numprocesses=2 --dist=loadfile --ignore=tests/metrics

test-slow: $(DEV) ## run the slow tests only
	@echo "== slow tests"
	$(BIN)/python -m pytest -q --durations=10 -m slow

fresh: $(DEV) ## load all that is published by name, in three new environments without this project
	@echo "== fresh environments"
	$(BIN)/python -m pytest -q --durations=10 -m slow tests/fresh

quality: $(DEV) ## lint, formatting, dependencies that fit together
	@echo "== quality"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pip check

mini: $(DEV) ## train the embedded model from nothing, about 2 hours on two cores; run again to resume
	@echo "== training the embedded model (recipes/embedded.yaml)"
	$(BIN)/python train_trainer.py recipes/embedded.yaml

mini-photos: $(DEV) ## train the embedded model for photographs from nothing, hours on two cores; run again to resume
	@echo "== training the embedded model for photographs (recipes/embedded_photos.yaml)"
	$(BIN)/python train_trainer.py recipes/embedded_photos.yaml

bench: $(DEV) ## run every measurement of benchmarks/
	@set -e; for file in benchmarks/*.py; do \
		test -e "$$file" || { echo "benchmarks/ holds no measurement"; exit 1; }; \
		echo "== $$file"; $(BIN)/python "$$file"; \
	done

clean: ## remove caches, builds and demo.html; keeps .venv and runs/
	rm -rf build dist demo.html .pytest_cache .ruff_cache *.egg-info
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Enough to caption. torch comes first and alone, so that nothing else chooses its build.
$(CORE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "blip2idc needs Python 3.11 to 3.13, but PYTHON=$(PYTHON) is %d.%d" % v)'
	@echo "== virtual environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "== 1/2 torch"
	$(PIP) torch==2.13.0
	@echo "== 2/2 blip2idc and what it stands on"
	$(PIP) --editable .
	@touch $@

# What training and the tests need on top; blip2idc itself stays as installed above.
$(DEV): $(CORE)
	@echo "== what training and the tests need"
	$(PIP) 'blip2idc[train,synth,ray,app,dev]'
	@touch $@
