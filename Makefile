# Everything is set up in .venv by the first target that needs it; only python3.11+, pip and make are assumed.
PYTHON ?= $(shell command -v python3.11 2>/dev/null || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check -c constraints.txt
DEMO_OUT ?= runs/demo
ARGS ?=
PEERS := $(basename $(notdir $(wildcard benchmarks/peers/*.txt)))

.PHONY: demo test test-slow lint types bench peers docs clean

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

bench: $(VENV)/.test  ## benchmarks/: tables, figures and benchmarks/results/README.md; ARGS=--quick in seven minutes
	$(BIN)/python benchmarks/suite.py $(ARGS)

peers: $(PEERS:%=.peers/%/.installed)  ## what benchmarks compare with, each in an environment of its own

.peers/%/.installed: benchmarks/peers/%.txt
	$(PYTHON) -m venv --without-pip .peers/$*
	$(PYTHON) -m pip --python .peers/$*/bin/python install --quiet --disable-pip-version-check -r $<
	@touch $@

docs: $(VENV)/.docs
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

clean:
	rm -rf $(VENV) .peers .pytest_cache .mypy_cache .ruff_cache docs/_build
