"""The command line: its verbs, its options, and what an error becomes.

Exit codes: 0 done, 1 it failed, 2 the request was wrong, 130 interrupted (and then a render is cancelled).
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from hyperframes_provider.cli.console import Console
from hyperframes_provider.cli.faults import explain

INTERRUPTED = 130

Verb = Callable[[argparse.Namespace, Console], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(as_json=options.json)
    # `kill` must leave as little behind as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        module, function = options.verb
        verb: Verb = getattr(import_module(f"hyperframes_provider.cli.{module}"), function)
        return verb(options, console)
    except KeyboardInterrupt:
        console.fail("Interrupted", "interrupted", "")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away, as `head` does; the interpreter's own last flush must not complain either.
        sys.stdout = None
        return 0
    except Exception as error:
        fault = explain(error)
        if fault is None:
            raise
        console.fail(fault.kind, fault.message, fault.hint, code=fault.code)
        return fault.exit_code


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hyperframes-airflow", description="Render HTML compositions to video on AWS, or on this machine."
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("--json", action="store_true", help="print exactly one JSON document on stdout; everything else goes to stderr")
    aws = _aws_options(quiet)
    stack = argparse.ArgumentParser(add_help=False, parents=[aws])
    stack.add_argument("--stack-name", default="hyperframes", metavar="NAME", help="the CloudFormation stack (default: hyperframes)")

    def verb(name: str, target: str, text: str, parent: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[parent])
        added.set_defaults(verb=tuple(target.split(".")))
        return added

    setup = verb("setup", "tools.setup", "bring browser, ffmpeg and runtime into the user cache", quiet)
    setup.add_argument(
        "--chrome", type=Path, metavar="PATH", help="also register this chrome-headless-shell, as ChromeSource=chrome-headless-shell"
    )
    verb("doctor", "tools.doctor", "say what is there, which versions, and what is missing", quiet)
    add = verb("add", "tools.add", "copy a pinned script library into a project", quiet)
    add.add_argument("library", metavar="LIBRARY", help="such as gsap")
    add.add_argument("--to", type=Path, required=True, metavar="DIR", help="the folder that receives it, as gsap.min.js")
    _project(verb("check", "authoring.check", "say within seconds whether a project will render, and what may look different", quiet))
    _project(verb("info", "authoring.info", "say what a project is: size, duration, variables, media, remote files", quiet))
    snapshot = verb("snapshot", "authoring.snapshot", "write what the video shows at some moments as PNG", quiet)
    _project(snapshot)
    snapshot.add_argument("--at", required=True, metavar="TIMES", help="seconds, such as 1.5,3s")
    snapshot.add_argument("-o", "--output", type=Path, default=Path("snapshots"), metavar="DIR", help="default: snapshots")
    local = verbs.add_parser(
        "local", help="the embedded AWS endpoint of this machine", description="The embedded AWS endpoint of this machine."
    )
    _local_verbs(local, quiet)
    build = verb("build", "stack.build", "write the slim code ZIP, which runs on the embedded endpoint", quiet)
    build.add_argument("-o", "--output", type=Path, default=Path("handler.zip"), metavar="ZIP", help="default: handler.zip")
    deploy = verb("deploy", "stack.deploy", "create or update the stack; the second time nothing changes", stack)
    deploy.add_argument("--code", metavar="ZIP", help="path or s3://bucket/key of the code; default on the embedded endpoint: the slim one")
    deploy.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a stack parameter; may be repeated")
    verb("destroy", "stack.destroy", "delete the stack; its bucket stays, with everything in it", stack)
    _render_verb(verb("render", "render.render", "render a project and wait for the video", stack))
    progress = verb("progress", "executions.progress", "say how far a render is", stack)
    _identity(progress)
    progress.add_argument("--watch", action="store_true", help="until it ends; exits 1 when it fails")
    _identity(verb("cancel", "executions.cancel", "stop a render and its running chunks", stack))
    download = verb("download", "executions.download", "fetch an object from S3", aws)
    download.add_argument("uri", metavar="S3URI")
    download.add_argument("-o", "--output", type=Path, required=True, metavar="PATH")
    demo = verb("demo", "demo.demo", "render the sample project by its DAG, on the embedded endpoint", quiet)
    mode = demo.add_mutually_exclusive_group()
    mode.add_argument("--deferrable", dest="deferrable", action="store_true", default=True, help="tasks wait in the triggerer (default)")
    mode.add_argument("--sync", dest="deferrable", action="store_false", help="tasks wait in their worker")
    return parser


def _aws_options(quiet: argparse.ArgumentParser) -> argparse.ArgumentParser:
    aws = argparse.ArgumentParser(add_help=False, parents=[quiet])
    aws.add_argument("--endpoint-url", metavar="URL", help="default: $AWS_ENDPOINT_URL, the embedded endpoint if it is up, else AWS")
    aws.add_argument("--region", metavar="NAME", help="default: that of the profile or the environment")
    aws.add_argument("--profile", metavar="NAME", help="a profile of the AWS configuration; given, the embedded endpoint is left aside")
    return aws


def _local_verbs(local: argparse.ArgumentParser, quiet: argparse.ArgumentParser) -> None:
    verbs = local.add_subparsers(metavar="VERB", required=True)
    up = verbs.add_parser("up", help="start it, or report the one that runs", parents=[quiet])
    up.add_argument("--port", type=int, default=0, help="default: a free one")
    up.add_argument("--outputs", type=Path, default=Path("renders"), metavar="DIR", help="receives finished videos (default: renders)")
    up.set_defaults(verb=("local", "up"))
    for name, text in (("status", "say whether it is up; exits 1 when it is not"), ("down", "stop it and every process it started")):
        verbs.add_parser(name, help=text, parents=[quiet]).set_defaults(verb=("local", name))


def _identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the execution's ARN, its name, the id that the log shows, or: latest")


def _project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the folder with index.html")
    _composition_options(parser)


def _render_verb(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", metavar="PROJECT", help="a folder with index.html, or s3://….tar.gz")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="OUT.mp4, or other ending; FOLDER/ for frames; s3://…")
    _composition_options(parser)
    formats = "mp4, webm, mov, hls, gif, png-sequence, png, jpeg, webp, m4a or wav"
    parser.add_argument("--format", help=f"{formats}; default: as OUT ends, else mp4")
    parser.add_argument("--quality", help="draft, standard (default) or high")
    parser.add_argument("--crf", type=int, metavar="N", help="constant rate factor: 0 to 51, for webm to 63")
    parser.add_argument("--bitrate", metavar="RATE", help="such as 8M, instead of a constant rate factor")
    sidecars = "poster, contact-sheet, captions or report, made beside OUT; may be repeated"
    parser.add_argument("--sidecar", dest="sidecars", action="append", metavar="NAME", help=sidecars)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other field: codec=h265, audio=false")
    parser.add_argument("--chunk-size", type=int, metavar="FRAMES")
    parser.add_argument("--max-parallel-chunks", type=int, metavar="N")


def _composition_options(parser: argparse.ArgumentParser) -> None:
    """What a look at the composition takes, as a render does."""
    parser.add_argument("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable; a value that is JSON is read as such")
    parser.add_argument("--variables", metavar="JSON", help="all variables, as one JSON object, or @FILE that holds one")
    parser.add_argument(
        "--strict-variables", action="store_true", default=None, help="refuse variables that the composition does not declare"
    )
    parser.add_argument("--fps", metavar="RATE", help="such as 30 or 30000/1001; default: the composition's, else 30")
    parser.add_argument("--width", type=int, metavar="PX")
    parser.add_argument("--height", type=int, metavar="PX")
    hosts = "a host that may be fetched from although its address is not public, such as assets.internal; may be repeated"
    parser.add_argument("--allowed-host", dest="allowed_hosts", action="append", metavar="HOST", help=hosts)
    parser.add_argument("--entry-file", metavar="PATH", help="the page to open (default: index.html)")
