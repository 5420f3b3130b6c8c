"""Authoring help: what a project is (`info`), whether and how well it will render (`check`), what a frame of it takes
(`measure`), and single pictures of it (`snapshot`).

Each opens the project as Plan does. `python -m hyperframes_lambda.authoring` runs them for the command line, which is the provider's.
"""

from __future__ import annotations

from hyperframes_lambda.authoring.check import check
from hyperframes_lambda.authoring.info import info
from hyperframes_lambda.authoring.measure import measure
from hyperframes_lambda.authoring.snapshot import snapshot

__all__ = ["check", "info", "measure", "snapshot"]
