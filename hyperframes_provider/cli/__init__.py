"""`hyperframes-airflow`: a thin shell over `client/` and `local/`.

Each group of verbs has a module, imported when one of its verbs runs. `main` reads the command line and turns errors into messages and
exit codes. Nothing here knows how a render works.
"""

from hyperframes_provider.cli.main import main

__all__ = ["main"]
