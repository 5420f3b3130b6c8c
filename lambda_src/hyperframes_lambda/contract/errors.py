"""The error table: all codes, their meaning, and whether a retry can help.

The state machine's retry lists, the names that Step Functions sees and the operator's exceptions all follow from `ErrorCode`.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from functools import partial
from typing import Any, Self

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
    """The error table: the names that Step Functions reports, each with its meaning and its retry.

    An error with any other name gets a few attempts.
    """

    meaning: str
    retry: Retry

    # The defaults are for type checkers, because the lookup `ErrorCode(name)` has one argument.
    def __new__(cls, name: str, meaning: str = "", retry: Retry = Retry.NEVER) -> Self:
        """Make a string of `name` with the rest of its row as attributes."""
        code = str.__new__(cls, name)
        code._value_, code.meaning, code.retry = name, meaning, retry
        return code

    INVALID_CONFIG = "INVALID_CONFIG", "the render configuration is wrong", Retry.NEVER
    INVALID_EVENT = "INVALID_EVENT", "the event names no role or lacks a field", Retry.NEVER
    PLAN_PROTOCOL_UNSUPPORTED = "PLAN_PROTOCOL_UNSUPPORTED", "the plan's protocol version is unknown to this build", Retry.NEVER
    S3_URI_NOT_ALLOWED = "S3_URI_NOT_ALLOWED", "an S3 URI lies outside the stack's bucket and the allowed buckets", Retry.NEVER
    S3_OBJECT_NOT_FOUND = "S3_OBJECT_NOT_FOUND", "an S3 object that the event names does not exist", Retry.NEVER
    S3_ACCESS_FAILED = "S3_ACCESS_FAILED", "S3 denied a request, failed or timed out", Retry.TRANSIENT
    ARCHIVE_REJECTED = "ARCHIVE_REJECTED", "the project archive is unsafe, too large or not a tar.gz", Retry.NEVER
    PLAN_HASH_MISMATCH = "PLAN_HASH_MISMATCH", "the event and the manifest name different plans", Retry.NEVER
    PLAN_ARTIFACT_DIGEST_MISMATCH = "PLAN_ARTIFACT_DIGEST_MISMATCH", "a blob of the plan does not match its digest", Retry.NEVER
    FFMPEG_VERSION_MISMATCH = "FFMPEG_VERSION_MISMATCH", "the plan was made with another ffmpeg", Retry.NEVER
    RENDERER_VERSION_MISMATCH = "RENDERER_VERSION_MISMATCH", "the plan was made by another renderer version", Retry.NEVER
    RUNTIME_ENV_MISMATCH = (
        "RUNTIME_ENV_MISMATCH",
        "the plan was made with another browser, runtime or set of fonts",
        Retry.NEVER,
    )
    BROWSER_GPU_NOT_SOFTWARE = (
        "BROWSER_GPU_NOT_SOFTWARE",
        "Chromium does not composite in software, so chunks would differ",
        Retry.NEVER,
    )
    CHROME_UNAVAILABLE = "CHROME_UNAVAILABLE", "the browser is missing, unusable or incompletely unpacked", Retry.TRANSIENT
    FFMPEG_UNAVAILABLE = "FFMPEG_UNAVAILABLE", "ffmpeg is missing or unusable", Retry.TRANSIENT
    BROWSER_CRASHED = "BROWSER_CRASHED", "the page or the browser crashed", Retry.TRANSIENT
    CAPTURE_STALLED = "CAPTURE_STALLED", "the compositor stopped responding", Retry.TRANSIENT
    COMPOSITION_NOT_READY = "COMPOSITION_NOT_READY", "a timeline was never registered, or the page never became ready", Retry.NEVER
    COMPOSITION_EMPTY = "COMPOSITION_EMPTY", "there is nothing to render", Retry.NEVER
    COMPOSITION_ERROR = "COMPOSITION_ERROR", "a script of the composition threw an exception", Retry.NEVER
    COMPOSITION_UNSUPPORTED = "COMPOSITION_UNSUPPORTED", "the composition uses a feature that this version does not render", Retry.NEVER
    DURATION_OUT_OF_RANGE = "DURATION_OUT_OF_RANGE", "the duration is zero or over the limit", Retry.NEVER
    ASSET_UNAVAILABLE = "ASSET_UNAVAILABLE", "a script, style sheet, font or image is unavailable", Retry.NEVER
    ASSET_FETCH_FAILED = "ASSET_FETCH_FAILED", "an asset failed to load, for a reason that may pass", Retry.TRANSIENT
    NOT_MEDIA_PAYLOAD = "NOT_MEDIA_PAYLOAD", "a video or sound file contains a page or text", Retry.NEVER
    MEDIA_UNREADABLE = "MEDIA_UNREADABLE", "a video or sound file cannot be decoded", Retry.NEVER
    INVALID_VIDEO_METADATA = "INVALID_VIDEO_METADATA", "a video has no usable size, rate or duration", Retry.NEVER
    FONT_UNAVAILABLE = "FONT_UNAVAILABLE", "a font family can be neither embedded nor fetched", Retry.NEVER
    ENCODER_FAILED = "ENCODER_FAILED", "ffmpeg rejected its input or failed on it", Retry.NEVER
    ENCODER_CRASHED = "ENCODER_CRASHED", "ffmpeg was killed by a signal", Retry.TRANSIENT
    VERIFICATION_FAILED = "VERIFICATION_FAILED", "the output does not match the plan", Retry.NEVER
    DISK_FULL = "DISK_FULL", "the scratch folder is full", Retry.NEVER
    RENDER_CANCELLED = "RENDER_CANCELLED", "the render was cancelled", Retry.NEVER
    LAMBDA_TOO_MANY_REQUESTS = "Lambda.TooManyRequestsException", "Lambda throttled the invocation", Retry.THROTTLED
    LAMBDA_SERVICE = "Lambda.ServiceException", "Lambda failed", Retry.LOST
    LAMBDA_AWS_SERVICE = "Lambda.AWSLambdaException", "Lambda failed", Retry.LOST
    LAMBDA_SDK_CLIENT = "Lambda.SdkClientException", "the connection to Lambda failed", Retry.LOST
    LAMBDA_UNKNOWN = "Lambda.Unknown", "Lambda lost the invocation", Retry.LOST
    RUNTIME_EXIT = "Runtime.ExitError", "the function's process ran out of memory, was killed or crashed", Retry.LOST
    SANDBOX_TIMEDOUT = "Sandbox.Timedout", "the invocation ran out of time", Retry.LOST
    STATES_TIMEOUT = "States.Timeout", "the state ran out of time", Retry.LOST


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


def named_error(name: str, message: str) -> Exception:
    """Return an exception whose class is called `name`, because Lambda reports the class name."""
    return type(name, (Exception,), {"__module__": __name__})(message)  # type: ignore[no-any-return]  # type() gives Any


def faults_of(error: ValidationError, whole: str) -> str:
    """Describe the fault of each field, without the values, which may be a user's; `whole` names a fault of no single field."""
    return "; ".join(f"{'.'.join(str(part) for part in fault['loc']) or whole}: {fault['msg']}" for fault in error.errors())
