"""`demo`: the whole path of a render, on this machine."""

from __future__ import annotations

from hyperframes_provider.cli.parsers.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    demo = verbs.add("demo", "demo.demo", "render the sample project with its DAG on the embedded endpoint", verbs.quiet)
    mode = demo.add_mutually_exclusive_group()
    mode.add_argument("--deferrable", dest="deferrable", action="store_true", default=True, help="wait in the triggerer (default)")
    mode.add_argument("--sync", dest="deferrable", action="store_false", help="wait in the worker")
