"""`setup`, `doctor`, `add`: this machine."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    setup = verbs.add("setup", "tools.setup", "install browser, ffmpeg and runtime in the user cache", verbs.quiet)
    chrome = "also register this chrome-headless-shell, for stacks with ChromeSource=chrome-headless-shell"
    setup.add_argument("--chrome", type=Path, metavar="PATH", help=chrome)
    doctor = verbs.add("doctor", "tools.doctor", "inspect this machine: installed versions, damaged and missing parts", verbs.aws)
    doctor.add_argument("--stack-name", metavar="NAME", help="also inspect this stack: versions, functions, bucket, quotas")
    add = verbs.add("add", "tools.add", "copy a pinned script library into a project", verbs.quiet)
    add.add_argument("library", metavar="LIBRARY", help="name of the library, such as gsap")
    add.add_argument("--to", type=Path, required=True, metavar="DIR", help="folder to copy the library to")
