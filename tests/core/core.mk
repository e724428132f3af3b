# Targets for the C tests; the top-level Makefile includes this file.
ifeq ($(origin CC),default)
CC = gcc
endif

.PHONY: core asan ubsan tsan crash crash-full fuzz stress

core: ## build and run the C tests, without Python
	@CC="$(CC)" tests/core/run.sh core

asan: ## the C tests under AddressSanitizer
	@CC="$(CC)" tests/core/run.sh asan

ubsan: ## the C tests under UndefinedBehaviorSanitizer
	@CC="$(CC)" tests/core/run.sh ubsan

tsan: ## the C tests under ThreadSanitizer
	@CC="$(CC)" tests/core/run.sh tsan

crash: ## kill a process at every instruction and hook of every operation, and two at every pair of hooks; seeded bugs
	@CC="$(CC)" tests/crash/run.sh crash

crash-full: ## the same, and two at every pair of instructions; SQUARE_STEP=1 for all of them (hours)
	@CC="$(CC)" tests/crash/run.sh full

FUZZ ?= 60
fuzz: ## the decoder of messages against coverage-guided garbage (clang), FUZZ=60 seconds each target; seeded bugs
	@PYTHON="$(PYTHON)" tests/fuzz/run.sh $(FUZZ)
	@PYTHON="$(PYTHON)" tests/fuzz/run.sh bugs

STRESS ?= 600
stress: $(VENV)/.built ## random kills and stops for STRESS=600 seconds, of users of every primitive, then of pipes; seeded bugs; the long tests of the package
	@CC="$(CC)" tests/stress/run.sh $(STRESS)
	@PYTHON="$(RUN)" tests/stress/soak.sh $(STRESS)
	@CC="$(CC)" tests/stress/run.sh bugs
	@PYTHON="$(RUN)" tests/stress/soak.sh bugs
	@CMP_STRESS=1 $(RUN) -m pytest -q tests/python/test_idle.py tests/python/test_lifetime.py \
		tests/python/test_connection_limits.py
