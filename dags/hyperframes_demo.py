"""Deploy the renderer, render an HTML composition to video, wait for its chunks, check the result.

`deploy` ▸ `render` ▸ `wait_for_chunks` ▸ `check`

- **deploy** creates or updates the CloudFormation stack that renders: one Lambda function, one state machine, one bucket. The second time,
  nothing changes.
- **render** uploads the project in `projects/demo` (once per content), starts a Step Functions execution and waits for it, in the triggerer
  if `deferrable` is on. The log shows chunks, frames, rate, time left and cost. `check` reads its XCom.
- **wait_for_chunks** shows the sensor that lets other work start before a render is done. Here it finds all four chunks complete.
- **check** compares the result with the request and with the object in S3.

The connection `aws_default` decides where the DAG runs: on the embedded endpoint (`hyperframes-airflow local up`) with that endpoint's
`endpoint_url`, on AWS without one.

Environment: `HYPERFRAMES_DEMO_STACK` (default `hyperframes-demo`), `HYPERFRAMES_DEMO_CODE` (the ZIP for AWS, as a path or
`s3://bucket/key.zip`), `HYPERFRAMES_DEMO_DEFERRABLE` (default `true`).
"""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from hyperframes_provider.hooks.hyperframes import HyperFramesHook
from hyperframes_provider.operators.render import HyperFramesRenderOperator
from hyperframes_provider.operators.stack import HyperFramesDeployStackOperator
from hyperframes_provider.sensors.render import HyperFramesChunkSensor

STACK = os.environ.get("HYPERFRAMES_DEMO_STACK", "hyperframes-demo")
CODE = os.environ.get("HYPERFRAMES_DEMO_CODE")
DEFERRABLE = os.environ.get("HYPERFRAMES_DEMO_DEFERRABLE", "true").lower() in ("1", "true", "yes", "on")
log = logging.getLogger(__name__)

FRAMES, FPS, WIDTH, HEIGHT = 240, 30, 1920, 1080

with DAG(
    "hyperframes_demo",
    description="Deploy the renderer, render an HTML composition to video, and check the result.",
    doc_md=__doc__,
    start_date=datetime(2026, 1, 1),
    schedule=None,
    catchup=False,
    tags=["hyperframes", "example"],
):
    deploy = HyperFramesDeployStackOperator(task_id="deploy", stack_name=STACK, code=CODE)

    render = HyperFramesRenderOperator(
        task_id="render",
        stack_name=STACK,
        project=Path(__file__).parent / "projects" / "demo",
        variables={"title": "Your week in review", "name": "Studio North", "week": 47},
        output="outputs/demo.mp4",
        config={"fps": FPS, "width": WIDTH, "height": HEIGHT, "chunkSize": 60},
        deferrable=DEFERRABLE,
    )

    wait_for_chunks = HyperFramesChunkSensor(
        task_id="wait_for_chunks",
        execution_arn="{{ ti.xcom_pull(task_ids='render', key='execution_arn') }}",
        at_least=1.0,
        deferrable=DEFERRABLE,
    )

    @task
    def check(result: dict[str, Any]) -> dict[str, Any]:
        """Compare the result with the request and with the object in S3."""
        bucket, _, key = result["output_uri"].removeprefix("s3://").partition("/")
        size = HyperFramesHook().connect("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]
        found = {name: result[name] for name in ("frames", "duration", "width", "height", "bytes")}
        wanted = {"frames": FRAMES, "duration": FRAMES / FPS, "width": WIDTH, "height": HEIGHT, "bytes": size}
        different = {name: (found[name], wanted[name]) for name in wanted if abs(found[name] - wanted[name]) > 0.001}
        if different:
            raise ValueError(f"the render differs from the request (found, wanted): {different}")
        log.info("%d frames · %.3f s · %dx%d · %d bytes · verified", *(found[name] for name in wanted))
        return found

    deploy >> render >> wait_for_chunks >> check(render.output)
