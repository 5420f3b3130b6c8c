"""Render one project once for each row of a list, and add up frames, seconds and cost.

`deploy` ▸ `rows` ▸ `render` (one for each row) ▸ `report`

- **rows** returns the variables of each video. Replace it with your own source: a query, a sheet, a file.
- **render** maps over the rows. Every row is a task with its own log, retries and execution; `max_active_tis_per_dag` limits how many run
  together. Clearing a row renders that row again and no other.
- **report** adds up the results.

The connection `aws_default` decides where the DAG runs, as in `hyperframes_demo`.

Environment: `HYPERFRAMES_DEMO_STACK` (default `hyperframes-demo`), `HYPERFRAMES_DEMO_CODE`, `HYPERFRAMES_DEMO_DEFERRABLE` (default `true`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from hyperframes_provider.operators.render import HyperFramesRenderOperator
from hyperframes_provider.operators.stack import HyperFramesDeployStackOperator

STACK = os.environ.get("HYPERFRAMES_DEMO_STACK", "hyperframes-demo")
CODE = os.environ.get("HYPERFRAMES_DEMO_CODE")
DEFERRABLE = os.environ.get("HYPERFRAMES_DEMO_DEFERRABLE", "true").lower() in ("1", "true", "yes", "on")
log = logging.getLogger(__name__)

with DAG(
    "hyperframes_batch",
    description="Render one HTML composition once for each row.",
    doc_md=__doc__,
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    tags=["hyperframes", "example"],
):
    deploy = HyperFramesDeployStackOperator(task_id="deploy", stack_name=STACK, code=CODE)

    @task
    def rows() -> list[dict[str, Any]]:
        """Return the variables of each video."""
        return [{"title": "Your week in review", "name": name, "week": 47} for name in ("Studio North", "Studio South")]

    render = HyperFramesRenderOperator.partial(
        task_id="render",
        stack_name=STACK,
        project=Path(__file__).parent / "projects" / "demo",
        config={"fps": 24, "width": 320, "height": 180, "quality": "draft"},
        deferrable=DEFERRABLE,
        max_active_tis_per_dag=40,
    ).expand(variables=rows())

    @task
    def report(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
        """Add up frames, seconds and cost."""
        found = list(results)
        total = {name: sum(result[name] for result in found) for name in ("frames", "seconds", "cost_usd")}
        log.info("%d videos · %d frames · %.1f s · $%.4f", len(found), total["frames"], total["seconds"], total["cost_usd"])
        return {"videos": [result["output_uri"] for result in found], **total}

    deploy >> render
    report(render.output)
