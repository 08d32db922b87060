# make install | demo | gpu | lint | test-fast | test | test-slow | docs | notebooks | mutants
#      bench | evidence | evidence-check | evidence-quick
# Everything happens in .venv, which a second call leaves as it is.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: install demo gpu bench test test-fast test-slow lint format docs notebooks mutants evidence evidence-check evidence-quick

install: $(STAMP)

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m benchmarks.demo

# Checks and figures on one GPU, in about four minutes. See docs/gpu.md.
gpu: $(STAMP)
	$(BIN)/python -m benchmarks.gpu --out build/gpu.json $(ARGS)

# All benchmarks of speed and memory, into build/bench.md: over an hour. ARGS="--only loss scan"
bench: $(STAMP)
	$(BIN)/python -m benchmarks.bench $(ARGS)

# All tests but the slow ones, in two processes; a file stays in one process.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# The tests of inner functions; SLOWER are files of tests of commands, which `make test` runs.
FAST := frontends losses objectives
SLOWER := tests/test_benchmarks.py tests/test_package.py tests/test_version_0_1.py tests/test_defaults.py tests/test_documentation.py tests/test_locks.py tests/test_extending.py tests/test_messages.py
test-fast: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile $(addprefix tests/,$(FAST)) $(filter-out $(SLOWER),$(wildcard tests/test_*.py))

# Also the tests of models of transformers, which other tests do without, and of the packages of benchmarks.
test-slow: $(STAMP) .venv/.docs .venv/.slow .venv/.adapters
	$(BIN)/python -m pytest -m slow
	$(BIN)/python -m pytest tests/probing/test_huggingface.py

# The documentation site, in build/site; fails on a broken link or reference.
docs: $(STAMP) .venv/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q --clean

# Execute the notebooks of docs/notebooks and store their outputs, which `make docs` shows.
# ARGS="--data DIR" names the folder that holds fsdd/, ARGS="--only NAME" one notebook.
notebooks: $(STAMP) .venv/.slow
	$(BIN)/python -m benchmarks.notebooks $(ARGS)

.venv/.docs: requirements-docs.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch .venv/.docs

.venv/.slow: requirements-slow.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-slow.txt
	touch .venv/.slow

.venv/.adapters: requirements-adapters.txt .venv/.slow
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-adapters.txt
	touch .venv/.adapters

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

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
