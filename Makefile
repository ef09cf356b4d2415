# The verbs of this project. `make run` and `make test` do all their own set-up on a fresh machine.

PORT ?= 8080
PYTHON ?= python3

BIN := .venv/bin
# The stamps carry the folder's own path: a virtual environment that was moved or copied with it is made anew.
VENV_MADE := .venv/.made$(subst $() ,-,$(subst /,-,$(CURDIR)))
VENV_FILLED := .venv/.filled
# Programs from Debian that the tests start: unpacked into .tools/, never installed, so no service of theirs starts.
DEBS := prometheus
TOOLS_FILLED := .tools/.filled-$(subst $() ,-,$(DEBS))
TESTS_OF_THE_HOUSE := $(wildcard $(addprefix tests/test_,architecture.py packaging.py docs.py deliverables.py))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help setup run test check bench soak golden docs tools lock

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(VENV_FILLED)  ## make .venv with the command tcps-exporter and all extras in it

run: setup  ## start the service with a living demo line; another port: make run PORT=9000
	@$(BIN)/tcps-exporter serve --demo --port $(PORT)

test: setup tools  ## run every test
	@$(BIN)/pytest

check: setup  ## lint, types, and the tests of the house's own rules
	@echo "ruff" && $(BIN)/ruff check
	@echo "mypy" && $(BIN)/mypy
	@echo "pytest $(TESTS_OF_THE_HOUSE)" && $(BIN)/pytest --quiet $(TESTS_OF_THE_HOUSE)

bench: setup  ## measure speed and memory
	@$(BIN)/python -m tests.benchmarks

soak: setup  ## measure over a long run
	@$(BIN)/python -m tests.benchmarks --soak

golden: setup  ## write the golden files anew; read the diff before you commit it
	@$(BIN)/pytest tests/test_golden.py --update-golden

docs: setup  ## write the generated documentation anew
	@$(BIN)/python -m exporter.docs

tools: $(TOOLS_FILLED)  ## unpack the Debian programs that tests start into .tools

lock:  ## write requirements-dev.lock anew from the ranges in setup.cfg
	@echo "lock: resolving the ranges of setup.cfg in a throw-away environment"
	@set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(PYTHON) -m venv "$$scratch"; \
	"$$scratch/bin/pip" install -qq -e '.[dev]'; \
	"$$scratch/bin/pip" freeze --exclude-editable > "$$scratch/lock"; \
	cp "$$scratch/lock" requirements-dev.lock

define PYTHON_CHECK
import sys
if sys.version_info < (3, 11):
    sys.exit(f"setup: Python 3.11 or newer is needed, $(PYTHON) is {sys.version.split()[0]}; name another: make PYTHON=python3.12 setup")
try:
    import ensurepip, venv
except ImportError as missing:
    sys.exit(f"setup: $(PYTHON) cannot make a virtual environment, it lacks {missing.name} (on Debian: apt-get install python3-venv)")
endef
export PYTHON_CHECK

$(VENV_MADE):
	@command -v $(PYTHON) > /dev/null || { echo "setup: no $(PYTHON) here; name one: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@$(PYTHON) -c "$$PYTHON_CHECK"
	@echo "setup: making .venv with $$($(PYTHON) --version)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@touch $@

# A new line of entry points exists only once installed again, so this follows setup.cfg, and the version with it.
$(VENV_FILLED): $(VENV_MADE) setup.cfg pyproject.toml requirements-dev.lock exporter/__init__.py $(wildcard collectors/__init__.py)
	@echo "setup: installing tcps-exporter and what requirements-dev.lock pins"
	@$(BIN)/pip install -qq -c requirements-dev.lock -e '.[dev]'
	@touch $@

# apt-get download fails where the package list is missing or older than the archive: then update it, once.
define UNPACK_DEBS
set -e
rm -rf .tools && mkdir -p .tools/debs && cd .tools/debs
get() { apt-get download -qq -o APT::Sandbox::User=root $(DEBS); }
if ! get 2> refused; then
    if [ "$$(id -u)" = 0 ]; then as_root=; elif sudo -n true 2> /dev/null; then as_root="sudo -n"; else
        cat refused >&2
        echo "tools: couldn't get $(DEBS); run 'apt-get update' as root and try again" >&2
        exit 1
    fi
    echo "tools: updating the package list"
    $$as_root apt-get update -qq
    get
fi
for deb in *.deb; do dpkg-deb -x "$$deb" ..; done
cd .. && rm -rf debs
endef
export UNPACK_DEBS

$(TOOLS_FILLED):
	@if command -v apt-get > /dev/null && command -v dpkg-deb > /dev/null; then \
		echo "tools: unpacking $(DEBS) from Debian into .tools"; \
		sh -c "$$UNPACK_DEBS" && touch $@; \
	else \
		echo "tools: no apt-get here: tests use $(DEBS) where PATH has it and are skipped where not"; \
	fi
