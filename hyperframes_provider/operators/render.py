"""The render operator: one task, one video."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import conf

from hyperframes_provider.client.errors import HyperFramesClientError, InvalidRequest
from hyperframes_provider.client.history import History
from hyperframes_provider.client.names import execution_arn as arn_of
from hyperframes_provider.client.names import execution_name
from hyperframes_provider.client.renders import RenderClient, timed_out
from hyperframes_provider.client.report import done_line, started_line
from hyperframes_provider.client.request import PreparedRender, RenderTarget, merge_variables, read_config
from hyperframes_provider.links.render import LINKS_KEY, RenderExecutionLink, RenderLogsLink, RenderOutputLink, addresses
from hyperframes_provider.operators.base import HyperFramesBaseOperator
from hyperframes_provider.operators.exceptions import HyperFramesFatalError, HyperFramesServiceError
from hyperframes_provider.operators.templates import check_literal_config, is_template, rendered_config
from hyperframes_provider.triggers.events import Outcome, RenderEvent
from hyperframes_provider.triggers.render import RenderTrigger
