# Every target does its own set-up, in .venv or build/. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
RUN = $(CURDIR)/$(VENV)/bin/python
SOURCES = $(wildcard src/*/*.c src/*/*.h)
CPYTHONS ?= $(PYTHON)

# What the tests start must not inherit these: they change output and timing.
unexport PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help build demo test guides cpython matrix bench packages lint fix clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort -u | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

$(VENV)/.ready: pyproject.toml setup.py .ci/environment
	@.ci/environment $(PYTHON) $(VENV) 'setuptools>=68'
	@$(RUN) -m pip install -q --disable-pip-version-check --no-build-isolation --config-settings editable_mode=compat -e '.[test]'
	@touch $@

$(VENV)/.built: $(VENV)/.ready $(SOURCES)
	@$(RUN) setup.py -q build_ext --inplace
	@touch $@

build: $(VENV)/.built ## build cmp into a private environment, .venv

demo: $(VENV)/.built ## the main job: five programs under python -m cmp, then a short benchmark
	@for script in benchmarks/demo/[0-9]*.py; do \
		echo; echo "== python -m cmp $$script"; $(RUN) -m cmp $$script || exit 1; done
	@echo; echo "== multiprocessing and cmp side by side"
	@$(RUN) benchmarks/run.py --quick

# Two halves side by side, since most of a test is waiting.
FIRST = tests/python/test_[a-h]*.py tests/guides
SECOND = tests/python/test_[i-z]*.py
test: $(VENV)/.built ## the tests of the package (pytest); one alone: make test TEST=tests/python/test_process.py
	@if [ -n "$(TEST)" ]; then $(RUN) -m pytest -q $(TEST); else \
		mkdir -p build; $(RUN) -m pytest -q -p no:cacheprovider $(SECOND) >build/test-second.log 2>&1 & second=$$!; \
		$(RUN) -m pytest -q -p no:cacheprovider $(FIRST); first=$$?; \
		wait $$second; second=$$?; cat build/test-second.log; \
		[ $$first = 0 ] && [ $$second = 0 ]; fi

GUIDES ?= ../shared/guides
guides: $(VENV)/.built ## the guides' own code under three start methods, where GUIDES=folder has them, else tests/guides
	@if [ -f $(GUIDES)/run_guides.py ]; then \
		for method in "" "--method spawn" "--method forkserver"; do \
			echo "== run_guides.py $$method"; \
			$(RUN) .ci/guides $(GUIDES)/run_guides.py $$method || exit 1; done; \
	else echo "guides: there is no $(GUIDES)/run_guides.py: the programs in tests/guides run instead"; \
		$(RUN) -m pytest -q tests/guides; fi

# test_terminate on threads waits for five minutes, which counts as a hang, whenever a worker starts its first task before
# terminate(): that happens with multiprocessing as often as with cmp (in a quarter of 300 tries each). CPython 3.12 shortened it.
RACY = $(shell $(PYTHON) -c 'import sys; print("--exclude WithThreadsTestPool.test_terminate" * (sys.version_info < (3, 12)))')
SUITE ?= --method all --suite probe,mp,main,cf --category contract --no-fallback $(RACY)
cpython: $(VENV)/.built ## CPython's own multiprocessing tests against cmp; more: make cpython SUITE='--help'
	@$(RUN) tests/cpython/run_cpython_suite.py --python $(RUN) --path $(CURDIR) --module cmp $(SUITE)

matrix: ## the tests on every supported CPython found on this machine
	@.ci/matrix

bench: $(VENV)/.built ## all benchmarks, multiprocessing against cmp; writes build/bench.json and build/bench.svg
	@mkdir -p build
	@$(RUN) benchmarks/run.py --json build/bench.json --chart build/bench.svg

packages: ## sdist, wheel, pip install and pip install -e, each tried in a clean environment
	@PYTHON=$(PYTHON) .ci/packages

lint: $(VENV)/.built ## ruff, and a build with every warning an error
	@$(RUN) -m pip install -q --disable-pip-version-check ruff
	@$(RUN) -m ruff check cmp tests benchmarks setup.py
	@CFLAGS="-Werror" $(RUN) setup.py -q build_ext --force --build-lib build/lint --build-temp build/lint

fix: $(VENV)/.built ## what ruff can mend by itself
	@$(RUN) -m pip install -q --disable-pip-version-check ruff
	@$(RUN) -m ruff check --fix cmp tests benchmarks setup.py

clean: ## remove what was built
	rm -rf build dist .venv *.egg-info cmp/*.so tests/cpython/build tests/cpython/tmp benchmarks/floor/build

-include tests/core/core.mk
-include tests/model/model.mk
