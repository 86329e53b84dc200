# Everything a checkout needs, from a machine with only python3 (3.11 or newer), make and git.
# The dependencies go into .venv, hashes checked; a target that has what it needs starts at once.

PYTHON ?= python3
UV_VERSION := 0.13.9
# More words for the command behind a target: make test ARGS="-k deadline", make run ARGS=--help
ARGS ?=
# For how long make torture breaks things
MINUTES ?= 30

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --annotation-style line \
	--python-version 3.11

.DEFAULT_GOAL := help
.PHONY: help run test check types screenshots bench torture wheel lock clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

run: .venv/ready-to-run ## start the demo: a shop, its chat and a private Valkey, on loopback
	@$(BIN)/python -m bot demo $(ARGS)

test: .venv/ready-to-develop .venv/browser ## run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/ready-to-develop ## lint, format, types, and which package may import which
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory types

types: ## the pages' types, by tsc --checkJs, where there is npm
	@if command -v npm >/dev/null; then \
		cd tests/web/types && { test -d node_modules || npm ci --silent --no-audit --no-fund; } && npm run --silent check; \
	else \
		echo "No npm here: the types of bot/web are not checked (on Debian: apt-get install npm)."; \
	fi

bench: .venv/ready-to-develop .venv-arq/ready .venv-bullmq/ready ## run the benchmarks, one after the other
	@for bench in tests/bench/*.py; do echo "== $$bench"; PYTHONPATH=. $(BIN)/python "$$bench" $(ARGS) || exit 1; done

torture: .venv/ready-to-develop ## break everything for MINUTES (30) while people negotiate, and judge it all
	@PYTHONPATH=. $(BIN)/python -m tests.faults.torture --minutes $(MINUTES) $(ARGS)

screenshots: .venv/ready-to-develop .venv/browser ## pictures of the screens, into dist/screenshots/
	@PYTHONPATH=. $(BIN)/python tests/web/screenshots.py $(ARGS)

wheel: .venv/ready-to-develop ## build the wheel into dist/
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

lock: .venv/ready-to-develop ## write requirements*.txt anew from pyproject.toml (ARGS=--upgrade: the newest of everything)
	@test -x $(BIN)/uv || $(PIP) install uv==$(UV_VERSION)
	@$(LOCK) $(ARGS) --output-file requirements.txt pyproject.toml
	@$(LOCK) $(ARGS) --output-file requirements-dev.txt --group dev --constraint requirements.txt pyproject.toml
	@printf '%s\n' 'arq==0.28.*' uvloop | $(LOCK) $(ARGS) --output-file tests/bench/rivals/requirements-arq.txt -
	@printf '%s\n' 'bullmq==3.4.*' 'redis[hiredis]<8' uvloop | \
		$(LOCK) $(ARGS) --output-file tests/bench/rivals/requirements-bullmq.txt -

clean: ## remove .venv, caches and dist/, not the data in var/
	rm -rf .venv .venv-arq .venv-bullmq dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/ready-to-run: requirements.txt | .venv/bin/python
	@echo "Installing what running needs into .venv ..."
	@$(PIP) install --require-hashes --requirement requirements.txt
	@touch $@

.venv/ready-to-develop: requirements-dev.txt | .venv/bin/python
	@echo "Installing what running, testing and checking need into .venv ..."
	@$(PIP) install --require-hashes --requirement requirements-dev.txt
	@touch $@ .venv/ready-to-run

# What the benchmark of the timers is compared with; these need other versions of redis-py than we do, and one another.
.venv-%/ready: tests/bench/rivals/requirements-%.txt | .venv/bin/python
	@echo "Installing $* into .venv-$* ..."
	@{ $(BIN)/python -m venv .venv-$* && .venv-$*/bin/python -m pip --disable-pip-version-check --no-input --quiet --quiet \
		install --require-hashes --requirement $< && touch $@; } || { rm -rf .venv-$*; echo "$* is left out."; }

# The pages are tested in a real browser. As root on Debian it is installed; elsewhere those tests say that they are skipped.
.venv/browser: | .venv/bin/python
	@if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing chromium ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium fonts-noto-cjk libatomic1 >/dev/null && touch $@; \
	else echo "No Chromium here: tests of the pages will be skipped. On Debian: sudo apt-get install chromium fonts-noto-cjk"; fi

# Debian keeps venv's other half, ensurepip, in a package of its own.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing python3-venv ..."; \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; \
		else \
			echo "$(PYTHON) can't make virtual environments. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; \
			exit 1; \
		fi
	@$(PYTHON) -m venv .venv
