"""Render a closed-form composition, named by the environment, and wait for its chunks. Tests kill its worker."""

from __future__ import annotations

import os
from datetime import datetime

from airflow.sdk import DAG

from hyperframes_provider.operators.render import HyperFramesRenderOperator
from hyperframes_provider.sensors.render import HyperFramesChunkSensor

DEFERRABLE = os.environ["E2E_DEFERRABLE"] == "true"

with DAG("of_a_box", start_date=datetime(2026, 1, 1), schedule=None):
    render = HyperFramesRenderOperator(
        task_id="render",
        stack_name=os.environ["E2E_STACK"],
        project=os.environ["E2E_PROJECT"],
        config={"fps": 60, "chunkSize": 60, "maxParallelChunks": 2},
        deferrable=DEFERRABLE,
    )
    wait_for_chunks = HyperFramesChunkSensor(
        task_id="wait_for_chunks",
        execution_arn="{{ ti.xcom_pull(task_ids='render', key='execution_arn') }}",
        at_least=1.0,
        deferrable=DEFERRABLE,
    )
    render >> wait_for_chunks
