"""One render of a closed-form composition, named by the environment: the worker of this DAG is killed by a test."""

from __future__ import annotations

import os
from datetime import datetime

from airflow.sdk import DAG

from hyperframes_provider.operators.render import HyperFramesRenderOperator

with DAG("adopted", start_date=datetime(2026, 1, 1), schedule=None):
    HyperFramesRenderOperator(
        task_id="render",
        stack_name=os.environ["E2E_STACK"],
        project=os.environ["E2E_PROJECT"],
        config={"fps": 60, "chunkSize": 60, "maxParallelChunks": 2},
        deferrable=os.environ["E2E_DEFERRABLE"] == "true",
    )
