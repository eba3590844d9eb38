# Two commands do everything on a fresh machine: `make demo` and `make test`. CONTRIBUTING.md tells of the others.
PYTHON ?= python3
BIN := .venv/bin
DEMO := $(CURDIR)/.demo
# The datasets whose sources have stand-in feeds.
SAMPLED := stlouis-requests stlouis-neighborhood-requests stlouis-days-to-close stlouis-closed-within-a-week \
  syracuse-permits syracuse-permit-kinds alicante-water
PYTEST := $(BIN)/pytest --dist loadgroup --numprocesses
# Tests that start processes wait for them much of their time: three workers keep two cores busy, and two do not.

# Bytecode is kept: without it each of the tests' many processes compiles the product anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo check test evidence format clean

install: .venv/installed  ## the `publisher` command in .venv

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Engines that count records, each in an environment of its own that sees the packages of .venv too: both have a package
# named pyspark.
.venv-%/installed: .venv/installed-dev
	$(PYTHON) -m venv .venv-$*
	@$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	  > "$$(.venv-$*/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/shared.pth"
	@.venv-$*/bin/pip install --quiet --constraint constraints.txt --editable '.[$*]' && touch $@ \
	  || echo "not installed, so its tests are skipped: $*"

demo: .venv/installed  ## a sample city, released and published on the embedded portal; ONCE=1 ends after verifying
	@set -eu; export PATH="$(CURDIR)/$(BIN):$$PATH" PUBLISHER_STATE="$(DEMO)/state" XDG_STATE_HOME="$(DEMO)/outside"; \
	mkdir -p "$(DEMO)"; datasets=""; portal=""; \
	if [ -z "$${PUBLISHER_DATA:-}" ]; then \
	  export PUBLISHER_DATA="$(DEMO)/city"; datasets="$(SAMPLED)"; \
	  [ -f "$$PUBLISHER_DATA/SAMPLE.json" ] || publisher sample "$$PUBLISHER_DATA"; \
	fi; \
	trap 'kill $$portal 2>/dev/null || true; wait $$portal 2>/dev/null || true' EXIT; \
	opened() { \
	  rm -f "$(DEMO)/address"; \
	  publisher serve "$$@" --ready-file "$(DEMO)/address" 2> "$(DEMO)/portal.log" & portal=$$!; \
	  until [ -s "$(DEMO)/address" ] || ! kill -0 $$portal 2>/dev/null; do sleep 0.1; done; \
	  [ -s "$(DEMO)/address" ] || { tail -n 1 "$(DEMO)/portal.log" >&2; return 6; }; \
	}; \
	opened || { echo "The portal cannot open at its usual address; trying a free port."; opened --port 0; }; \
	export PUBLISHER_PORTAL="$$(cat "$(DEMO)/address")"; echo "The portal is at $$PUBLISHER_PORTAL."; \
	publisher run --yes $$datasets; publisher verify $$datasets; \
	[ -n "$(ONCE)" ] || { echo "The portal is open at $$PUBLISHER_PORTAL; Ctrl-C ends it."; wait $$portal; }

check: .venv/installed-dev  ## format, lint, types, import rules, docs, and tests that start no process: about 2 minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) 2 -m "not (process or trial or evidence)"

test: .venv/installed-dev .venv-sail/installed  ## every gate: all of check, and each mechanism once: 30 to 40 minutes on 2 cores
	@./tests/system-packages.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) 3

evidence: .venv/installed-dev .venv-sail/installed .venv-spark/installed  ## before a release: every case, and at length; writes docs/evidence.md in up to 3 hours
	@./tests/system-packages.sh
	$(PYTEST) 2 -m evidence --evidence=docs/evidence.md

format: .venv/installed-dev  ## lay the code out as the gates want it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## everything that was made here
	rm -rf .venv .venv-sail .venv-spark .demo state build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
