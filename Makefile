# make demo, make test: the two commands of this repository. `make help` lists the others.
PYTHON ?= python3
VENV = .venv
RUN = $(VENV)/bin/python
STAMP = $(VENV)/.synced
# Interpreters are taken from this machine, never downloaded.
export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = $(VENV)

.PHONY: help demo test test-quick check fix conformance rows messages docs audit lock clean

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

demo: $(STAMP) ## Render the default project, install it, walk the life of a user over HTTP
	@$(RUN) -m scripts.demo

test: $(STAMP) ## Run all tests of the template (ARGS= passes options to pytest)
	@$(RUN) -m pytest --numprocesses auto --dist worksteal $(ARGS)

test-quick: $(STAMP) ## Run the tests that need no installed project
	@$(RUN) -m pytest --numprocesses auto --dist worksteal -m "not slow" $(ARGS)

check: $(STAMP) ## Lint and types: changes nothing
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

fix: $(STAMP) ## Format and repair what can be repaired by itself
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

conformance: $(STAMP) ## Write the table of conformance and the ASVS statement from the tests
	@$(RUN) -m scripts.conformance
	@cd '{{cookiecutter.project_slug}}' && $(CURDIR)/$(RUN) -B -m auth_core.contract.asvs > docs/asvs.md

rows: $(STAMP) ## Find few rows in which every pair of answers occurs (minutes; writes tests/rows.json)
	@$(RUN) -c 'from tests.variants import store; store()'

messages: $(STAMP) ## Compile the translations of the built-in pages
	@$(RUN) -m scripts.messages

docs: $(STAMP) ## Build the documents as a site in .cache/site/html
	@$(RUN) -m scripts.site

audit: $(STAMP) ## Ask osv.dev for known weaknesses of what rendered projects install
	@rm -rf .cache/audit
	@for django in 5.2 6.1; do \
	  $(RUN) -m cookiecutter --no-input . -o .cache/audit/$$django django_version=$$django \
	    database=postgresql email_provider=mailgun > /dev/null && \
	  $(MAKE) --no-print-directory -C .cache/audit/$$django/my-api audit || exit 1; \
	done

lock: $(STAMP) ## Take the newest versions that pyproject.toml allows into uv.lock
	$(VENV)/bin/uv lock --upgrade

clean: ## Remove the environment, the tests' environments and all caches
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || \
	  { echo "$(PYTHON) cannot make environments; on Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	@test -x $(VENV)/bin/uv || $(RUN) -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
	@$(VENV)/bin/uv sync --quiet --locked --python $(RUN)
	@touch $@
