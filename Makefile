# Every target sets itself up: .venv is made from requirements.lock the first time.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.from-lock
RIVALS := .bench/venv
RIVALS_STAMP := $(RIVALS)/.from-lock
# Tests wait for processes about as long as they compute.
JOBS ?= $(shell expr 2 \* `nproc`)

# Or every process that a target starts would compile the sources again (0.3 s).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo page test lint types shape check parity proof proof-machines fuzz bench compare lock fmt clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)  ## import the samples into the bundled sandbox API, over real HTTP
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh samples/demo.sh

page: $(STAMP)  ## serve the page for recruiters with what the demo did; Ctrl-C ends it
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh samples/demo.sh page

test: $(STAMP)  ## run every test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: $(STAMP)  ## style and common faults
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## strict types
	$(BIN)/mypy

shape: $(STAMP)  ## the layers and the one door to the network
	$(BIN)/lint-imports

check: lint types shape test  ## what CI runs: lint, types, shape, tests

parity: $(STAMP)  ## phones in bulk beside phonenumbers itself: millions of numbers, no difference
	$(BIN)/python -m tests.support.bench.parity

proof: $(STAMP)  ## kill the importer hundreds of times: nobody contacted twice, nobody lost
	$(BIN)/python -m tests.crash.every_write --rows 8
	$(BIN)/python -m tests.crash.every_write --rows 3 --pairs
	$(BIN)/python -m tests.crash.proof --seed 1 2 3
	$(BIN)/python -m tests.crash.proof --personalities --submissions 400 --restarts 4

proof-machines: $(STAMP)  ## the same with several machines on one PostgreSQL ledger: killed, frozen and cut off
	$(BIN)/python -m tests.crash.machines --defences
	$(BIN)/python -m tests.crash.machines --seed 1 2 3 --people 2600 --events 200 --rate 40
	$(BIN)/python -m tests.crash.machines --throughput 1 2 4 8

$(RIVALS_STAMP): tests/support/bench/requirements.txt
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/support/bench/requirements.txt
	@touch $@

bench: $(STAMP) $(if $(QUICK),,$(RIVALS_STAMP))  ## measure speed and memory, as ratios within one run; QUICK=1 takes two minutes
	$(BIN)/python -m tests.support.bench $(if $(QUICK),--quick)

compare: $(STAMP) $(RIVALS_STAMP)  ## read the workbooks below FOLDER=path beside other readers, cell by cell
	$(BIN)/python -m tests.support.bench.compare "$(FOLDER)" $(CURDIR)/$(RIVALS)/bin/python

fmt: $(STAMP)  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(STAMP)  ## read 10,000 damaged files; none may end in a traceback
	$(BIN)/python -m tests.corpus.fuzz 10000

lock:  ## pin every dependency again, with hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --extra dev --extra work \
	  pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate -c requirements.lock \
	  tests/support/bench/requirements.in -o tests/support/bench/requirements.txt

clean:  ## remove what the targets made
	rm -rf $(VENV) .demo .bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist
