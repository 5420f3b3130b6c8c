"""The self-contained Lambda ZIP: engine, browser, ffmpeg and Python packages, built from the package registries alone."""

from hyperframes_provider.bundle.build import BundleReport, build_bundle
from hyperframes_provider.bundle.errors import BundleError
from hyperframes_provider.bundle.image import build_image_context
from hyperframes_provider.bundle.kept import ensure_bundle

__all__ = ["BundleError", "BundleReport", "build_bundle", "build_image_context", "ensure_bundle"]
