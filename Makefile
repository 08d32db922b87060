# make install | demo | test | lint | evidence | evidence-check | evidence-quick: everything happens in .venv, which a second call leaves as it is.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo test lint format mutants evidence evidence-check evidence-quick

install: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo

test: $(STAMP)
	$(BIN)/python -m pytest

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Do the tests notice when one place of the code is wrong? A sample of 300 mutants: hours on one core. See docs/reliability.md.
mutants: $(STAMP)
	OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python -m benchmarks.mutants --check $(ARGS)

# The tables of docs/results.md: run what is missing (hours), compare page and CSVs (seconds), try a few steps of each study (minutes).
STUDIES ?= all
DATA ?= ../shared/data

evidence: $(STAMP)
	$(BIN)/python -m benchmarks.evidence $(STUDIES) --data $(DATA)

evidence-check: $(STAMP)
	$(BIN)/python -m benchmarks.evidence.check

evidence-quick: $(STAMP)
	$(BIN)/python -m benchmarks.evidence $(STUDIES) --data $(DATA) --quick
