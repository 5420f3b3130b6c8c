.PHONY: setup demo test lint lock clean

# Everything is done by the scripts and the command line; here are only the names that one expects of a Makefile.
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

clean:
	rm -rf .venv .local renders dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
