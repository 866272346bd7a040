# Everything is set up in .venv by the first target that needs it; only python3.11+, pip and make are assumed.
PYTHON ?= $(shell command -v python3.11 2>/dev/null || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check -c constraints.txt
DEMO_OUT ?= runs/demo
ARGS ?=

.PHONY: demo test test-slow lint types bench docs clean

$(BIN)/python:
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.package: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e ".[test]"
	@touch $(VENV)/.package $@

$(VENV)/.docs: $(VENV)/.package
	$(INSTALL) -e ".[docs]"
	@touch $@

demo: $(VENV)/.package  ## a network of width 16,384 on real digits, its outliers beside a dense network's
	$(BIN)/neural-limits simulate --task digits --samples 64 --network mlp --hidden 1 --width 16384 --steps 100 \
		--lr 2 --tolerance 0.03 --record 3,10,30,60,100 --dense-width 1024 --out $(DEMO_OUT) --overwrite

test: $(VENV)/.test  ## the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

test-slow: $(VENV)/.test  ## the tests marked slow
	$(BIN)/python -m pytest -n 2 --dist load -m slow $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test
	$(BIN)/mypy

bench: $(VENV)/.test  ## benchmarks/, all or with ARGS=--quick
	$(BIN)/python benchmarks/speed.py $(ARGS)
	$(BIN)/python benchmarks/touched_rank.py $(ARGS)
	$(BIN)/python benchmarks/products.py $(ARGS)
	$(BIN)/python benchmarks/depth.py $(ARGS)
	$(BIN)/python benchmarks/deep_linear.py $(ARGS)
	$(BIN)/python benchmarks/diagnosis.py $(ARGS)
	$(BIN)/python benchmarks/laws.py $(ARGS)
	$(BIN)/python benchmarks/monitor.py $(ARGS)
	$(BIN)/python benchmarks/sweeps.py $(ARGS)
	$(BIN)/python benchmarks/accuracy_for_cost.py $(ARGS)

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache docs/_build
