from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers_manager import ProvidersManager

from hyperframes_provider.client.request.names import execution_arn
from hyperframes_provider.get_provider_info import get_provider_info
from hyperframes_provider.links.render import RenderExecutionLink, RenderLogsLink, RenderOutputLink, addresses
from hyperframes_provider.operators.base import HyperFramesBaseOperator
from tests import ROOT

INFO = get_provider_info()
MODULES = [module for kind in ("operators", "sensors", "hooks", "triggers") for entry in INFO[kind] for module in entry["python-modules"]]


def test_the_provider_info_fits_airflows_schema_and_names_what_exists() -> None:
    jsonschema.validate(INFO, json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text()))
    for module in MODULES:
        importlib.import_module(module)
    for path in INFO["extra-links"]:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name).name


def test_airflow_finds_the_provider_with_everything_that_a_dag_can_import() -> None:
    found = ProvidersManager().providers["hyperframes-provider"].data

    assert {name: found[name] for name in INFO} == INFO
    assert {module.partition(".")[2] for module in MODULES} >= {
        "operators.render",
        "operators.stack",
        "sensors.render",
        "hooks.hyperframes",
        "triggers.render",
    }


def test_what_a_dag_imports_brings_neither_browser_nor_encoder_nor_endpoint() -> None:
    code = (
        "import sys, hyperframes_provider.operators.render, hyperframes_provider.sensors.render\n"
        "loaded = {name.partition('.')[0] for name in sys.modules} & {'playwright', 'moto', 'ffmpeg', 'av', 'numpy'}\n"
        "lambda_parts = {name for name in sys.modules if name.startswith('hyperframes_lambda.')"
        " and not name.startswith('hyperframes_lambda.contract')}\n"
        "print(sorted(loaded | lambda_parts))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))

    assert answer.stdout.strip().splitlines()[-1] == "[]"


def documented_classes() -> list[type]:
    found = []
    for name in MODULES:
        module = importlib.import_module(name)
        found += [item for item in vars(module).values() if inspect.isclass(item) and item.__module__ == name and item.__name__[0] != "_"]
    return found


@pytest.mark.parametrize("item", documented_classes(), ids=lambda item: item.__name__)
def test_every_argument_is_explicit_and_documented(item: type) -> None:
    ours = [base for base in item.__mro__ if base.__module__.startswith("hyperframes_provider")]
    parameters = [
        parameter.name
        for base in ours
        for parameter in inspect.signature(base.__init__).parameters.values()
        if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD) and parameter.name not in ("self", "region")
    ]
    # The AWS arguments are amazon's, documented once.
    text = "\n".join(inspect.getdoc(base) or "" for base in [*ours, HyperFramesBaseOperator])

    assert [name for name in parameters if f":param {name}:" not in text] == []


def test_operators_and_sensors_take_amazons_arguments() -> None:
    wanted = {"aws_conn_id": "other", "region_name": "eu-west-1", "verify": False, "botocore_config": {"retries": {"max_attempts": 2}}}
    for item in documented_classes():
        if issubclass(item, (AwsBaseOperator, AwsBaseSensor)):
            needed = {name: name for name in ("project", "execution_arn") if name in inspect.signature(item.__init__).parameters}
            made = item(task_id="t", **needed, **wanted)
            assert {name: getattr(made, name) for name in wanted} == wanted


@pytest.mark.parametrize("item", documented_classes(), ids=lambda item: item.__name__)
def test_template_fields_are_attributes(item: Any) -> None:
    arguments = {"project": "p", "execution_arn": "arn", "stack_name": "s"}
    if not hasattr(item, "template_fields") or "Trigger" in item.__name__:
        return
    accepted = {name: value for name, value in arguments.items() if name in inspect.signature(item.__init__).parameters}
    made = item(task_id="t", **accepted)

    assert [field for field in item.template_fields if not hasattr(made, field)] == []


def test_links_lead_to_the_console_of_the_executions_region() -> None:
    arn = execution_arn("arn:aws:states:eu-central-1:123456789012:stateMachine:m", "weekly-g1")

    links = addresses(arn, output_uri="s3://studio/videos/recap 1.mp4", log_group="/aws/lambda/hyperframes-render")

    assert links[RenderExecutionLink.name] == (
        "https://console.aws.amazon.com/states/home?region=eu-central-1#/v2/executions/details/"
        "arn%3Aaws%3Astates%3Aeu-central-1%3A123456789012%3Aexecution%3Am%3Aweekly-g1"
    )
    assert links[RenderOutputLink.name] == (
        "https://console.aws.amazon.com/s3/object/studio?region=eu-central-1&prefix=videos/recap%201.mp4"
    )
    assert links[RenderLogsLink.name].endswith("#logsV2:log-groups/log-group/$252Faws$252Flambda$252Fhyperframes-render")


def test_the_operator_offers_the_links_that_the_provider_announces() -> None:
    from hyperframes_provider.operators.render import HyperFramesRenderOperator

    offered = {f"{type(link).__module__}.{type(link).__name__}" for link in HyperFramesRenderOperator.operator_extra_links}

    assert offered == set(INFO["extra-links"])


def test_a_dag_with_our_tasks_survives_serialization(project) -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    from hyperframes_provider.operators.render import HyperFramesRenderOperator
    from hyperframes_provider.sensors.render import HyperFramesChunkSensor

    with DAG("weekly", schedule=None) as dag:
        render = HyperFramesRenderOperator(task_id="render", project=project, variables={"title": "{{ ds }}"}, config={"fps": 30})
        HyperFramesChunkSensor(task_id="half", execution_arn=render.output["execution_arn"], at_least=0.5)
        HyperFramesRenderOperator.partial(task_id="many", stack_name="s").expand(project=["a", "b"])

    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))

    assert set(again.task_ids) == {"render", "half", "many"}
    assert again.get_task("half").upstream_task_ids == {"render"}


def test_the_demo_parses_and_has_its_four_tasks_in_a_row() -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags" / "hyperframes_demo.py")

    assert bag.import_errors == {}
    assert bag.dags["hyperframes_demo"].topological_sort()[0].task_id == "deploy"
    assert [task.task_id for task in bag.dags["hyperframes_demo"].topological_sort()] == ["deploy", "render", "wait_for_chunks", "check"]
