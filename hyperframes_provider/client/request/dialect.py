"""The kind of stack that renders: its configuration, its input, and the meaning of its executions.

`OWN` is a stack of this provider; `request.reference_stack` has the other kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyperframes_lambda.contract.errors import ERROR_TABLE, ErrorCode, Retry
from hyperframes_lambda.contract.events import AssembleResult, ExecutionInput, PlanResult
from hyperframes_lambda.contract.plan import MANIFEST_NAME
from hyperframes_provider.client.request import retry_policy

if TYPE_CHECKING:
    from hyperframes_lambda.contract.config import RenderConfig
    from hyperframes_lambda.contract.formats import OutputFormat


class Dialect:
    """A stack that was deployed from this provider's template."""

    live_signals = True
    """Whether chunks report progress to S3 and look there for a cancel marker. Otherwise the execution's history is the only source."""

    extensions = True
    """Whether `Config` may hold fields that this provider adds, such as a reference to large variables."""

    plans: tuple[str, ...] = (f"plan/{MANIFEST_NAME}",)
    """Objects below a render's prefix; any one of them shows that the plan has not expired."""

    def config(self, config: RenderConfig) -> dict[str, Any]:
        """Return `config` for the execution's input; `INVALID_CONFIG` names each field that this kind of stack cannot render."""
        return config.to_wire()

    def output_suffix(self, output_format: OutputFormat) -> str:
        """Return the default ending of an output's name."""
        return output_format.spec.suffix

    def check_places(self, *, bucket: str, project: str, output: str, output_format: OutputFormat) -> None:
        """Raise `InvalidRequest` for S3 URIs that the function of a stack with this bucket would refuse, at a cost, later."""

    def input_of(self, request: ExecutionInput, generation: int) -> ExecutionInput:
        """Return the input of a generation. It is the same for all, so that each finds the finished chunks of the others."""
        del generation
        return request

    def plan_of(self, result: Mapping[str, Any]) -> PlanResult | None:
        """Return the plan in a task's result, None if the task is not Plan; raise `ValidationError` for a plan of another version."""
        return PlanResult.model_validate(result) if "ChunkCount" in result and "MaxParallelChunks" in result else None

    def assembled_of(self, output: Mapping[str, Any], plan: PlanResult | None) -> AssembleResult:
        """Return the finished render from an execution's output and its plan; raise `ValidationError` if it is none."""
        del plan
        return AssembleResult.model_validate(output)

    def attempts(self, error: str) -> int:
        """Return how often the state machine tries a task that fails with `error`, the first time included."""
        return retry_policy.attempts(error)

    def is_final(self, error: str) -> bool:
        """Whether a repetition would fail in the same way."""
        known = error in ErrorCode.__members__.values()
        return known and ERROR_TABLE[ErrorCode(error)].retry is Retry.NEVER


OWN = Dialect()
"""The kind of stack that this provider deploys."""
