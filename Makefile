# Short names for the scripts; nothing is done here.
.DEFAULT_GOAL := help
.PHONY: help demo test bench fmt lint

help: ## Lists the targets.
	@scripts/help.sh $(MAKEFILE_LIST)

demo: ## Runs the gateway with a private PostgreSQL and sample data (ARGS="…").
	@scripts/demo.sh $(ARGS)

test: ## Runs every test.
	@scripts/test.sh $(ARGS)

bench: ## Measures the gateway.
	@bench/run $(ARGS)

fmt: ## Formats the code.
	@scripts/fmt.sh

lint: ## Checks format, lints and documentation.
	@scripts/lint.sh
