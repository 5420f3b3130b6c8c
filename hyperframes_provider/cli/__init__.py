"""`hyperframes-airflow`: a thin shell over `client/` and `local/`.

A module for each group of verbs; `main` reads the command line and turns errors into messages and exit codes. Nothing here knows how a
render works, and nothing is imported before its verb is typed.
"""

from hyperframes_provider.cli.main import main

__all__ = ["main"]
