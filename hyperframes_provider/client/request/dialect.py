"""What kind of stack renders: what it may be asked, what it is sent, and how its executions are read.

Everything that depends on it asks here. `OWN` is a stack of this provider; `client.reference_stack` has the other kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyperframes_lambda.contract.errors import ErrorCode, Retry
from hyperframes_lambda.contract.events import AssembleResult, ExecutionInput, PlanResult
from hyperframes_lambda.contract.plan import MANIFEST_NAME
from hyperframes_provider.client.request import retry_policy

if TYPE_CHECKING:
    from hyperframes_lambda.contract.config import RenderConfig
    from hyperframes_lambda.contract.formats import OutputFormat


class Dialect:
    """A stack that was deployed from this provider's template."""

    name = "hyperframes-provider"

    live_signals = True
    """Whether chunks report their progress to S3 and look there for a cancel marker. If not, the execution's history is all there is."""

    extensions = True
    """Whether `Config` may hold what this provider puts beside the user's fields, such as a reference to large variables."""

    plans: tuple[str, ...] = (f"plan/{MANIFEST_NAME}",)
    """Objects below a render's prefix that tell, any of them, that its plan has not expired."""

    def config(self, config: RenderConfig) -> dict[str, Any]:
        """`config` as the execution's input has it; `INVALID_CONFIG` names each field that this kind of stack cannot render."""
        return config.to_wire()

    def output_suffix(self, output_format: OutputFormat) -> str:
        """What an output is called by default."""
        return output_format.spec.suffix

    def check_places(self, *, bucket: str, project: str, output: str, output_format: OutputFormat) -> None:
        """Refuse what the function of a stack with this bucket would refuse once it is paid for; the URIs are S3's."""

    def input_of(self, request: ExecutionInput, generation: int) -> ExecutionInput:
        """The input of an execution: of this kind of stack that of every generation, which finds the finished chunks of the others."""
        del generation
        return request

    def plan_of(self, result: Mapping[str, Any]) -> PlanResult | None:
        """The plan, when `result` is what the Plan task returned; `ValidationError` when it is one of another version."""
        return PlanResult.model_validate(result) if "ChunkCount" in result and "MaxParallelChunks" in result else None

    def assembled_of(self, output: Mapping[str, Any], plan: PlanResult | None) -> AssembleResult:
        """The finished render, of the output of an execution and its plan; `ValidationError` when it is none."""
        del plan
        return AssembleResult.model_validate(output)

    def attempts(self, error: str) -> int:
        """How often the state machine tries a task that fails with `error` in all, the first time included."""
        return retry_policy.attempts(error)

    def is_final(self, error: str) -> bool:
        """Whether the same request would fail the same way."""
        return error in ErrorCode.__members__.values() and ErrorCode(error).retry is Retry.NEVER


OWN = Dialect()
"""What this provider deploys."""
