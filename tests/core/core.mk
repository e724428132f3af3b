# Targets for the C tests; the top-level Makefile includes this file.
ifeq ($(origin CC),default)
CC = gcc
endif

.PHONY: core asan ubsan tsan

core: ## build and run the C tests, without Python
	@CC="$(CC)" tests/core/run.sh core

asan: ## the C tests under AddressSanitizer
	@CC="$(CC)" tests/core/run.sh asan

ubsan: ## the C tests under UndefinedBehaviorSanitizer
	@CC="$(CC)" tests/core/run.sh ubsan

tsan: ## the C tests under ThreadSanitizer
	@CC="$(CC)" tests/core/run.sh tsan
