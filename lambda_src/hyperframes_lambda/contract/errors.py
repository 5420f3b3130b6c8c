"""The error table: all codes, their meaning, and whether a retry can help.

The state machine's retry lists, the names that Step Functions sees and the operator's exceptions all follow from `ERROR_TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import partial
from typing import Any

from pydantic import ValidationError


class Retry(Enum):
    """The effect of retrying the failed task."""

    NEVER = "never"
    """The same request would fail the same way."""
    TRANSIENT = "transient"
    """The next attempt may succeed. Few attempts."""
    THROTTLED = "throttled"
    """The service throttled the request, through no fault of the render. Many attempts, with long and jittered waits."""
    LOST = "lost"
    """The invocation vanished (timeout, out of memory, service fault). Its finished segments are kept, the rest is rendered again."""


class ErrorCode(StrEnum):
    """The error names of the wire, as Step Functions reports them."""

    INVALID_CONFIG = "INVALID_CONFIG"
    INVALID_EVENT = "INVALID_EVENT"
    PLAN_PROTOCOL_UNSUPPORTED = "PLAN_PROTOCOL_UNSUPPORTED"
    S3_URI_NOT_ALLOWED = "S3_URI_NOT_ALLOWED"
    S3_OBJECT_NOT_FOUND = "S3_OBJECT_NOT_FOUND"
    S3_ACCESS_FAILED = "S3_ACCESS_FAILED"
    ARCHIVE_REJECTED = "ARCHIVE_REJECTED"
    PLAN_HASH_MISMATCH = "PLAN_HASH_MISMATCH"
    PLAN_ARTIFACT_DIGEST_MISMATCH = "PLAN_ARTIFACT_DIGEST_MISMATCH"
    FFMPEG_VERSION_MISMATCH = "FFMPEG_VERSION_MISMATCH"
    RENDERER_VERSION_MISMATCH = "RENDERER_VERSION_MISMATCH"
    RUNTIME_ENV_MISMATCH = "RUNTIME_ENV_MISMATCH"
    BROWSER_GPU_NOT_SOFTWARE = "BROWSER_GPU_NOT_SOFTWARE"
    CHROME_UNAVAILABLE = "CHROME_UNAVAILABLE"
    FFMPEG_UNAVAILABLE = "FFMPEG_UNAVAILABLE"
    BROWSER_CRASHED = "BROWSER_CRASHED"
    CAPTURE_STALLED = "CAPTURE_STALLED"
    COMPOSITION_NOT_READY = "COMPOSITION_NOT_READY"
    COMPOSITION_EMPTY = "COMPOSITION_EMPTY"
    COMPOSITION_ERROR = "COMPOSITION_ERROR"
    COMPOSITION_UNSUPPORTED = "COMPOSITION_UNSUPPORTED"
    DURATION_OUT_OF_RANGE = "DURATION_OUT_OF_RANGE"
    ASSET_UNAVAILABLE = "ASSET_UNAVAILABLE"
    ASSET_FETCH_FAILED = "ASSET_FETCH_FAILED"
    NOT_MEDIA_PAYLOAD = "NOT_MEDIA_PAYLOAD"
    MEDIA_UNREADABLE = "MEDIA_UNREADABLE"
    INVALID_VIDEO_METADATA = "INVALID_VIDEO_METADATA"
    FONT_UNAVAILABLE = "FONT_UNAVAILABLE"
    ENCODER_FAILED = "ENCODER_FAILED"
    ENCODER_CRASHED = "ENCODER_CRASHED"
    VERIFICATION_FAILED = "VERIFICATION_FAILED"
    DISK_FULL = "DISK_FULL"
    RENDER_CANCELLED = "RENDER_CANCELLED"
    LAMBDA_TOO_MANY_REQUESTS = "Lambda.TooManyRequestsException"
    LAMBDA_SERVICE = "Lambda.ServiceException"
    LAMBDA_AWS_SERVICE = "Lambda.AWSLambdaException"
    LAMBDA_SDK_CLIENT = "Lambda.SdkClientException"
    LAMBDA_UNKNOWN = "Lambda.Unknown"
    RUNTIME_EXIT = "Runtime.ExitError"
    SANDBOX_TIMEDOUT = "Sandbox.Timedout"
    STATES_TIMEOUT = "States.Timeout"


@dataclass(frozen=True)
class ErrorSpec:
    """One row of the table."""

    code: ErrorCode
    meaning: str
    retry: Retry


_ROWS: tuple[tuple[ErrorCode, str, Retry], ...] = (
    (ErrorCode.INVALID_CONFIG, "the render configuration is wrong", Retry.NEVER),
    (ErrorCode.INVALID_EVENT, "the event names no role or lacks a field", Retry.NEVER),
    (ErrorCode.PLAN_PROTOCOL_UNSUPPORTED, "the plan's protocol version is unknown to this build", Retry.NEVER),
    (ErrorCode.S3_URI_NOT_ALLOWED, "an S3 URI lies outside the stack's bucket and the allowed buckets", Retry.NEVER),
    (ErrorCode.S3_OBJECT_NOT_FOUND, "an S3 object that the event names does not exist", Retry.NEVER),
    (ErrorCode.S3_ACCESS_FAILED, "S3 denied a request, failed or timed out", Retry.TRANSIENT),
    (ErrorCode.ARCHIVE_REJECTED, "the project archive is unsafe, too large or not a tar.gz", Retry.NEVER),
    (ErrorCode.PLAN_HASH_MISMATCH, "the event and the manifest name different plans", Retry.NEVER),
    (ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH, "a blob of the plan does not match its digest", Retry.NEVER),
    (ErrorCode.FFMPEG_VERSION_MISMATCH, "the plan was made with another ffmpeg", Retry.NEVER),
    (ErrorCode.RENDERER_VERSION_MISMATCH, "the plan was made by another renderer version", Retry.NEVER),
    (ErrorCode.RUNTIME_ENV_MISMATCH, "the plan was made with another browser, HyperFrames runtime or set of fonts", Retry.NEVER),
    (ErrorCode.BROWSER_GPU_NOT_SOFTWARE, "Chromium does not use the software compositor, so chunks would not match", Retry.NEVER),
    (ErrorCode.CHROME_UNAVAILABLE, "the browser is missing, unusable or incompletely unpacked", Retry.TRANSIENT),
    (ErrorCode.FFMPEG_UNAVAILABLE, "ffmpeg is missing or unusable", Retry.TRANSIENT),
    (ErrorCode.BROWSER_CRASHED, "the page or the browser crashed", Retry.TRANSIENT),
    (ErrorCode.CAPTURE_STALLED, "the compositor stopped responding", Retry.TRANSIENT),
    (ErrorCode.COMPOSITION_NOT_READY, "a timeline was never registered, or the page never became ready", Retry.NEVER),
    (ErrorCode.COMPOSITION_EMPTY, "there is nothing to render", Retry.NEVER),
    (ErrorCode.COMPOSITION_ERROR, "a script of the composition threw an exception", Retry.NEVER),
    (ErrorCode.COMPOSITION_UNSUPPORTED, "the composition uses a feature that this version does not render", Retry.NEVER),
    (ErrorCode.DURATION_OUT_OF_RANGE, "the duration is zero or over the limit", Retry.NEVER),
    (ErrorCode.ASSET_UNAVAILABLE, "a script, style sheet, font or image is unavailable", Retry.NEVER),
    (ErrorCode.ASSET_FETCH_FAILED, "an asset failed to load, for a reason that may pass", Retry.TRANSIENT),
    (ErrorCode.NOT_MEDIA_PAYLOAD, "a video or sound file contains a page or text", Retry.NEVER),
    (ErrorCode.MEDIA_UNREADABLE, "a video or sound file cannot be decoded", Retry.NEVER),
    (ErrorCode.INVALID_VIDEO_METADATA, "a video has no usable size, rate or duration", Retry.NEVER),
    (ErrorCode.FONT_UNAVAILABLE, "a font family can be neither embedded nor fetched", Retry.NEVER),
    (ErrorCode.ENCODER_FAILED, "ffmpeg rejected its input or failed on it", Retry.NEVER),
    (ErrorCode.ENCODER_CRASHED, "ffmpeg was killed by a signal", Retry.TRANSIENT),
    (ErrorCode.VERIFICATION_FAILED, "the output does not match the plan", Retry.NEVER),
    (ErrorCode.DISK_FULL, "the scratch folder is full", Retry.NEVER),
    (ErrorCode.RENDER_CANCELLED, "the render was cancelled", Retry.NEVER),
    (ErrorCode.LAMBDA_TOO_MANY_REQUESTS, "Lambda throttled the invocation", Retry.THROTTLED),
    (ErrorCode.LAMBDA_SERVICE, "Lambda failed", Retry.LOST),
    (ErrorCode.LAMBDA_AWS_SERVICE, "Lambda failed", Retry.LOST),
    (ErrorCode.LAMBDA_SDK_CLIENT, "the connection to Lambda failed", Retry.LOST),
    (ErrorCode.LAMBDA_UNKNOWN, "Lambda lost the invocation", Retry.LOST),
    (ErrorCode.RUNTIME_EXIT, "the function's process ran out of memory, was killed or crashed", Retry.LOST),
    (ErrorCode.SANDBOX_TIMEDOUT, "the invocation ran out of time", Retry.LOST),
    (ErrorCode.STATES_TIMEOUT, "the state ran out of time", Retry.LOST),
)

ERROR_TABLE: dict[ErrorCode, ErrorSpec] = {code: ErrorSpec(code, meaning, retry) for code, meaning, retry in _ROWS}
"""Every known error. An error with any other name gets a few attempts."""


class RenderError(Exception):
    """A failure with a known cause.

    `code` decides the retry; `message` states the fault with the value; `hint` tells what to type or change. `str()` joins the two texts.
    """

    def __init__(self, code: ErrorCode, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle code, message and hint, so that a worker process can raise the error in its parent."""
        return partial(type(self), hint=self.hint), (self.code, self.message)

    @property
    def spec(self) -> ErrorSpec:
        """The row of `ERROR_TABLE`."""
        return ERROR_TABLE[self.code]


def named_error(name: str, message: str) -> Exception:
    """Return an exception whose class is called `name`, because Lambda reports the class name."""
    return type(name, (Exception,), {"__module__": __name__})(message)  # type: ignore[no-any-return]  # type() gives Any


def faults_of(error: ValidationError, whole: str) -> str:
    """Describe the fault of each field, without the values, which may be a user's; `whole` names a fault of no single field."""
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or whole}: {fault['msg']}" for fault in error.errors())
