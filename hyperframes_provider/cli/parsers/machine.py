"""`setup`, `doctor`, `add`: this machine."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verbs."""
    setup = verbs.add("setup", "tools.setup", "bring browser, ffmpeg and runtime into the user cache", verbs.quiet)
    setup.add_argument(
        "--chrome", type=Path, metavar="PATH", help="also register this chrome-headless-shell, as ChromeSource=chrome-headless-shell"
    )
    doctor = verbs.add("doctor", "tools.doctor", "say what is there, which versions, and what is missing", verbs.aws)
    doctor.add_argument("--stack-name", metavar="NAME", help="also look at this stack: versions, functions, bucket, quotas")
    add = verbs.add("add", "tools.add", "copy a pinned script library into a project", verbs.quiet)
    add.add_argument("library", metavar="LIBRARY", help="such as gsap")
    add.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder that receives it, as gsap.min.js")
