"""Why a bundle is not built."""

from __future__ import annotations

from hyperframes_provider.client.aws.errors import HyperFramesClientError


class BundleError(HyperFramesClientError):
    """The bundle cannot be built: something is missing, damaged, or not what was pinned."""

    retryable = False


class BundleTooLarge(BundleError):
    """The ZIP would be over a limit."""


class GlibcTooNew(BundleError):
    """A native file needs a newer C library than the function's runtime has."""
