"""The one error table: which codes exist, what they mean, and whether a retry can help.

The state machine's retry lists, the names that Step Functions sees and the operator's exceptions all follow from `ERROR_TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import partial
from typing import Any

from pydantic import ValidationError


class Retry(Enum):
    """What a repetition of the failed task is good for."""

    NEVER = "never"
    """The same request would fail the same way."""
    TRANSIENT = "transient"
    """The next attempt may succeed; each attempt counts."""
    THROTTLED = "throttled"
    """The service asked to wait: long, jittered, and no sign of a fault in the render."""
    LOST = "lost"
    """The invocation vanished (time-out, out of memory, service fault); finished chunks are kept and the rest is rendered again."""


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
    (ErrorCode.INVALID_EVENT, "the event is not one of the three roles' or lacks a field", Retry.NEVER),
    (ErrorCode.PLAN_PROTOCOL_UNSUPPORTED, "the plan's protocol version is unknown to this build", Retry.NEVER),
    (ErrorCode.S3_URI_NOT_ALLOWED, "an S3 URI lies outside the stack's bucket and the allowed ones", Retry.NEVER),
    (ErrorCode.S3_OBJECT_NOT_FOUND, "an S3 object that the event names does not exist", Retry.NEVER),
    (ErrorCode.S3_ACCESS_FAILED, "S3 refused, failed or timed out", Retry.TRANSIENT),
    (ErrorCode.ARCHIVE_REJECTED, "the project archive is unsafe, oversized or not a tar.gz", Retry.NEVER),
    (ErrorCode.PLAN_HASH_MISMATCH, "event and manifest name different plans", Retry.NEVER),
    (ErrorCode.PLAN_ARTIFACT_DIGEST_MISMATCH, "a blob of the plan is not what its name says", Retry.NEVER),
    (ErrorCode.FFMPEG_VERSION_MISMATCH, "planned with another ffmpeg", Retry.NEVER),
    (ErrorCode.RENDERER_VERSION_MISMATCH, "planned by another renderer version", Retry.NEVER),
    (ErrorCode.RUNTIME_ENV_MISMATCH, "planned with another browser or HyperFrames runtime", Retry.NEVER),
    (ErrorCode.BROWSER_GPU_NOT_SOFTWARE, "Chromium is not on the software compositor, so chunks would not match", Retry.NEVER),
    (ErrorCode.CHROME_UNAVAILABLE, "no usable browser, or a half-unpacked one", Retry.TRANSIENT),
    (ErrorCode.FFMPEG_UNAVAILABLE, "no usable ffmpeg", Retry.TRANSIENT),
    (ErrorCode.BROWSER_CRASHED, "the page or the browser died", Retry.TRANSIENT),
    (ErrorCode.CAPTURE_STALLED, "the compositor stopped answering", Retry.TRANSIENT),
    (ErrorCode.COMPOSITION_NOT_READY, "a timeline never registered, or the page never became ready", Retry.NEVER),
    (ErrorCode.COMPOSITION_EMPTY, "there is nothing to render", Retry.NEVER),
    (ErrorCode.COMPOSITION_ERROR, "a script of the composition threw", Retry.NEVER),
    (ErrorCode.COMPOSITION_UNSUPPORTED, "the composition uses what this version does not render", Retry.NEVER),
    (ErrorCode.DURATION_OUT_OF_RANGE, "the duration is zero or over the limit", Retry.NEVER),
    (ErrorCode.ASSET_UNAVAILABLE, "a script, style, font or image cannot be had", Retry.NEVER),
    (ErrorCode.ASSET_FETCH_FAILED, "an asset failed in a way that may pass", Retry.TRANSIENT),
    (ErrorCode.NOT_MEDIA_PAYLOAD, "what should be a video or sound is a page or text", Retry.NEVER),
    (ErrorCode.MEDIA_UNREADABLE, "a video or sound cannot be decoded", Retry.NEVER),
    (ErrorCode.INVALID_VIDEO_METADATA, "a video says nothing usable about its size, rate or duration", Retry.NEVER),
    (ErrorCode.FONT_UNAVAILABLE, "a font family can neither be embedded nor fetched", Retry.NEVER),
    (ErrorCode.ENCODER_FAILED, "ffmpeg refused or failed on its input", Retry.NEVER),
    (ErrorCode.ENCODER_CRASHED, "ffmpeg was killed by a signal", Retry.TRANSIENT),
    (ErrorCode.VERIFICATION_FAILED, "the output does not match the plan", Retry.NEVER),
    (ErrorCode.DISK_FULL, "no space is left in the scratch folder", Retry.NEVER),
    (ErrorCode.RENDER_CANCELLED, "a cancel marker was found", Retry.NEVER),
    (ErrorCode.LAMBDA_TOO_MANY_REQUESTS, "Lambda throttled the invocation", Retry.THROTTLED),
    (ErrorCode.LAMBDA_SERVICE, "Lambda failed", Retry.LOST),
    (ErrorCode.LAMBDA_AWS_SERVICE, "Lambda failed", Retry.LOST),
    (ErrorCode.LAMBDA_SDK_CLIENT, "the connection to Lambda failed", Retry.LOST),
    (ErrorCode.LAMBDA_UNKNOWN, "Lambda lost the invocation", Retry.LOST),
    (ErrorCode.RUNTIME_EXIT, "the function's process ended: out of memory, killed or crashed", Retry.LOST),
    (ErrorCode.SANDBOX_TIMEDOUT, "the invocation ran out of time", Retry.LOST),
    (ErrorCode.STATES_TIMEOUT, "the state ran out of time", Retry.LOST),
)

ERROR_TABLE: dict[ErrorCode, ErrorSpec] = {code: ErrorSpec(code, meaning, retry) for code, meaning, retry in _ROWS}
"""Every known error. A name that is not here is unknown: it gets a few attempts and then fails with its cause."""


class RenderError(Exception):
    """A failure with a known cause: a code of the table, a sentence about what was wrong, and what to do next.

    `code` decides the retry; `message` says what was wrong, with the value; `hint` says what to type or change. `str()` joins both.
    """

    def __init__(self, code: ErrorCode, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.code = code
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by code, message and hint, so that the error crosses from a worker process whole."""
        return partial(type(self), hint=self.hint), (self.code, self.message)

    @property
    def spec(self) -> ErrorSpec:
        """The row of `ERROR_TABLE`."""
        return ERROR_TABLE[self.code]


def named_error(name: str, message: str) -> Exception:
    """An exception whose class is called `name`, which is what Lambda reports."""
    return type(name, (Exception,), {"__module__": __name__})(message)  # type: ignore[no-any-return]  # type() gives Any


def faults_of(error: ValidationError, whole: str) -> str:
    """What is wrong with which field, without the values, which may be a user's; `whole` is what the fields are of."""
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or whole}: {fault['msg']}" for fault in error.errors())
