# make demo      the shell on a bundled sample API; without a terminal, a short script and its results
# make test      all tests but the long campaigns (about eight minutes on two cores)
# make test-quick  the tests without a process, a socket or a lake (about 40 seconds)
# make check     format, lint, types, layers
# make bench     how fast it is, on this machine
# make session   the picture of a session in README, recorded again
# make campaign  the long tests
# Each makes what it needs in .venv first, with nothing but Python 3.11+ and a package index.

PYTHON ?= python3
BIN := .venv/bin
DEMO := -c 'show tables from github' \
  -c 'select number, title, user_login from github.pulls order by created_at desc limit 10' \
  -c 'select owner, repo, count(*) as pulls, count(merged_at) as merged from github.pulls group by all order by pulls desc limit 5' \
  -c 'system status'
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-quick check bench session campaign clean

demo: .venv/app
	@if [ -t 0 ] && [ -t 1 ]; then \
	  exec $(BIN)/unify demo; \
	else \
	  exec $(BIN)/unify demo --echo --format box $(DEMO); \
	fi

# Compiled modules of the tests are kept: without them, each worker compiles all tests again. Temporary files
# are in memory (tests/support/temporary.py): commits and removed files do not wait for a disk.
test test-quick: export PYTHONDONTWRITEBYTECODE :=

test: .venv/dev
	@$(BIN)/pytest -n 3 --dist worksteal -q

test-quick: .venv/dev
	@$(BIN)/pytest -n 2 --dist worksteal -q -m 'not slow and not process and not socket and not lake'

check: .venv/dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --strict --no-error-summary
	@report=$$($(BIN)/lint-imports --no-logo --no-cache 2>&1) || { echo "$$report"; exit 1; }
	@echo "check: format, lint, types and layers are in order"

session: .venv/dev
	@$(BIN)/python -m benchmarks.readme_session

bench: .venv/dev
	@$(BIN)/python -m benchmarks

campaign: .venv/dev
	@$(BIN)/pytest -m slow --timeout 0

clean:
	rm -rf .venv build dist

# Stamps: what is installed is as new as pyproject.toml.

.venv/app: pyproject.toml | .venv/bin/python
	@echo "installing (once; again when pyproject.toml changes) ..."
	@$(PIP) install --editable .
	@touch $@

.venv/dev: pyproject.toml | .venv/bin/python
	@echo "installing with the tools for tests (once; again when pyproject.toml changes) ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@ .venv/app

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Unify needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv .venv
