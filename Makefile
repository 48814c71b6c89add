# Extra settings pass through: make train ARGS="model.filters=4 trainer.max_epochs=1"
ARGS ?=
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup train predict evaluate tensorboard test lint bench results soak clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install everything into it, once

# The packages are installed anew when what they are changes, and only then.
$(READY): pyproject.toml constraints.txt
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

train: $(READY) ## train on MNIST, fetched on first use
	$(RUN) train.py $(ARGS)

predict: $(READY) ## name pictures: make predict ARGS="image=img.png"
	$(RUN) predict.py $(ARGS)

evaluate: $(READY) ## measure the newest run's best weights on the test pictures
	$(RUN) evaluate.py $(ARGS)

tensorboard: $(READY) ## look at the runs at http://localhost:6006
	$(VENV)/bin/tensorboard --logdir outputs $(ARGS)

test: $(READY) ## run all tests; the fast ones alone: make test ARGS="-m 'not slow'"
	$(RUN) -m pytest --numprocesses auto --dist loadgroup $(ARGS)

lint: $(READY) ## check style, format and types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: $(READY) ## measure the speed of this machine: make bench ARGS="--quick"
	$(RUN) -m mobilenet_lab.benchmark $(ARGS)

results: $(READY) ## run the recipes over several seeds, write docs/results.md
	$(RUN) -m mobilenet_lab.results $(ARGS)

soak: $(READY) ## interrupt and resume training 200 times (an hour)
	FULL_SOAK=1 $(RUN) -m pytest tests/training/test_resume.py $(ARGS)

clean: ## remove .venv and caches; data and runs stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache src/*.egg-info
	find src tests -name __pycache__ -type d -exec rm -rf {} +
