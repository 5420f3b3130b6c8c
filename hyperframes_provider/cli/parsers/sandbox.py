"""`invoke`: the built ZIP, run once as Lambda would."""

from __future__ import annotations

from pathlib import Path

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    invoke = verbs.add(
        "invoke", "invoke.invoke", "run the code ZIP on one event as Lambda would, against the embedded endpoint", verbs.quiet
    )
    invoke.add_argument("--event", required=True, metavar="FILE", help="a JSON file, or a sample: plan, render-chunk, assemble")
    invoke.add_argument("--code", type=Path, default=Path("handler.zip"), metavar="ZIP", help="default: handler.zip")
    fills = (
        "what ${NAME} of the event stands for; may be repeated. Project takes a folder too. The samples' others are found by themselves: "
    )
    fills += "Bucket, Render=invoke, Chunk=0, PlanHash, Output"
    invoke.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=fills)
    invoke.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="a variable of the function; may be repeated")
    invoke.add_argument("--memory-mb", type=int, metavar="N", help="default: that of the stack's template")
    invoke.add_argument("--timeout", type=float, metavar="S", help="seconds; default: that of the stack's template")
    invoke.add_argument("--tmp-mb", type=int, default=10240, metavar="N", help="size of /tmp (default: 10240)")
    invoke.add_argument(
        "--isolation",
        choices=["namespaces", "none"],
        default="namespaces",
        help="none: a plain process, without walls (default: namespaces)",
    )
