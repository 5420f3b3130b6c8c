"""`invoke`: run the built ZIP once as Lambda would."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs, pairs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    invoke = verbs.add("invoke", "invoke.invoke", "run the ZIP on one event as Lambda would, with the embedded endpoint", verbs.quiet)
    invoke.add_argument("--event", required=True, metavar="FILE", help="a JSON file, or the name of a sample: plan, render-chunk, assemble")
    invoke.add_argument("--code", type=Path, default=Path("handler.zip"), metavar="ZIP", help="the code (default: handler.zip)")
    defaults = "the samples have defaults for Bucket, Render=invoke, Chunk=0, PlanHash and Output"
    pairs(invoke, "--set", f"value of ${{NAME}} in the event; Project may be a folder; {defaults}")
    pairs(invoke, "--env", "environment variable of the function")
    invoke.add_argument("--memory-mb", type=int, metavar="N", help="memory of the function (default: the template's)")
    invoke.add_argument("--timeout", type=float, metavar="S", help="timeout in seconds (default: the template's)")
    invoke.add_argument("--tmp-mb", type=int, default=10240, metavar="N", help="size of /tmp in MB (default: 10240)")
    isolation = "none runs a plain process without isolation (default: namespaces)"
    invoke.add_argument("--isolation", choices=["namespaces", "none"], default="namespaces", help=isolation)
