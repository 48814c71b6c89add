# ARGS are passed on: make train ARGS="model.filters=4 trainer.max_epochs=1"
ARGS ?=
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
DEMO := outputs/demo.html

.DEFAULT_GOAL := help
.PHONY: help setup train predict evaluate export demo tensorboard test lint bench results docs soak clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv and install all packages

# Packages are installed again only if their versions change.
$(READY): pyproject.toml constraints.txt
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,export,jpeg]"
	@touch $@

train: $(READY) ## train on MNIST, which is downloaded on first use
	$(RUN) train.py $(ARGS)

predict: $(READY) ## classify images: make predict ARGS="image=img.png"
	$(RUN) predict.py $(ARGS)

evaluate: $(READY) ## evaluate the newest run on the test set
	$(RUN) evaluate.py $(ARGS)

export: $(READY) ## export the newest run to ONNX; make export ARGS="format=onnx_int8"
	$(RUN) export.py $(ARGS)

demo: $(READY) ## classify what you draw: build a page from the newest run, and open it
	$(RUN) export.py format=html output=$(DEMO) $(ARGS)
	@$(RUN) -m mobilenet_lab.export.open_page $(DEMO)

tensorboard: $(READY) ## show all runs and sweeps; prints the URL, by default port 6006 or the next free one
	$(VENV)/bin/tensorboard --logdir outputs $(ARGS)

test: $(READY) ## run the tests; only the fast ones: make test ARGS="-m unit"
	$(RUN) -m pytest --numprocesses auto --dist loadgroup $(ARGS)

lint: $(READY) ## check style, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(READY) ## measure the speed of this machine: make bench ARGS="--quick"
	$(RUN) -m mobilenet_lab.benchmark $(ARGS)

results: $(READY) ## run the recipes over several seeds, write docs/results.md
	$(RUN) -m mobilenet_lab.results $(ARGS)

docs: $(READY) ## write docs/configuration.md from the comments in conf
	$(RUN) -m mobilenet_lab.config.reference

soak: $(READY) ## run the longest tests: 200 interrupted runs, memory (an hour)
	$(RUN) -m pytest -m soak --numprocesses auto $(ARGS)

clean: ## remove .venv and caches, keep data and runs
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find src tests -name __pycache__ -type d -exec rm -rf {} +
