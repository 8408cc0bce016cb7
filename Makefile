# Only `make` and a python3 of at least 3.11 are assumed; everything else is installed into .venv by `make setup`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
# What .venv holds. Each name is a lock in locks/; together they are everything but vLLM and the tracing exporter.
EXTRAS := core train postgres embed dev
LOCKS := $(EXTRAS:%=locks/%.txt)
# The stamp's name carries the hash of what was installed: another branch with other locks sets up anew, the same one does not.
SETUP := .venv/.setup-$(shell cat $(LOCKS) pyproject.toml 2>/dev/null | cksum | cut -d' ' -f1)

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- environment ------------------------------------------------------------------------------------------------------

.PHONY: setup
setup: $(SETUP) ## make .venv with all pinned packages (a few minutes once, then nothing to do)

$(SETUP):
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"make setup: $(PYTHON) is Python {v[0]}.{v[1]}, Apportion needs 3.11 or newer; choose another with make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make setup: $(PYTHON) cannot make environments; install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }
	rm -f .venv/.setup-*
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps $(LOCKS:%=-r %)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --disable-pip-version-check
	@# Some machines set PYTHONDONTWRITEBYTECODE; scikit-learn and MLflow then take seconds to import, every time.
	-env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1
	touch $@
