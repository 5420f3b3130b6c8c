"""The errors of a build."""

from __future__ import annotations

from hyperframes_provider.client.aws.errors import HyperFramesClientError


class BundleError(HyperFramesClientError):
    """The bundle cannot be built, because something is missing, damaged, or differs from its pin."""

    retryable = False


class BundleTooLarge(BundleError):
    """The ZIP exceeds a size limit."""


class GlibcTooNew(BundleError):
    """A native file needs a newer glibc than the function's runtime has."""
