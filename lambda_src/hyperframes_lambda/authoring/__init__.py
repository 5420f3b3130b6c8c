"""Authoring help: describe a project (`info`), find faults (`check`), measure its cost (`measure`), and draw single frames (`snapshot`).

Each plans the project first. `python -m hyperframes_lambda.authoring` runs them for the provider's command line.
"""

from __future__ import annotations

from hyperframes_lambda.authoring.check import check
from hyperframes_lambda.authoring.info import info
from hyperframes_lambda.authoring.measure import measure
from hyperframes_lambda.authoring.snapshot import snapshot

__all__ = ["check", "info", "measure", "snapshot"]
