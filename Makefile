.PHONY: setup demo test lint lock docs clean

# The scripts do the work; these are the names that a Makefile is expected to have.
setup:
	bash -c "set -euo pipefail; source scripts/environment.sh; .venv/bin/hyperframes-airflow setup"

demo:
	./scripts/demo

test:
	./scripts/test

lint:
	./scripts/lint

lock:
	./scripts/lock

docs:
	bash -c "set -euo pipefail; source scripts/environment.sh; .venv/bin/python scripts/tables.py"

clean:
	rm -rf .venv .local renders dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
