# Targets for the model test; the top-level Makefile includes this file.
.PHONY: model model-full

model: ## all interleavings of a few processes over src/core, and its seeded bugs
	@CC="$(CC)" tests/model/run.sh

model-full: ## the same with larger bounds: minutes more, and gigabytes
	@CC="$(CC)" tests/model/run.sh -f
