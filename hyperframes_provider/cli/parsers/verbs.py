"""How a verb is added, and the options that many of them share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]


def _quiet() -> argparse.ArgumentParser:
    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("--json", action="store_true", help="print exactly one JSON document on stdout; everything else goes to stderr")
    return quiet


def _aws() -> argparse.ArgumentParser:
    aws = argparse.ArgumentParser(add_help=False, parents=[_quiet()])
    aws.add_argument("--endpoint-url", metavar="URL", help="default: $AWS_ENDPOINT_URL, the embedded endpoint if it is up, else AWS")
    aws.add_argument("--region", metavar="NAME", help="default: that of the profile or the environment")
    aws.add_argument("--profile", metavar="NAME", help="a profile of the AWS configuration; given, the embedded endpoint is left aside")
    return aws


def _stack() -> argparse.ArgumentParser:
    stack = argparse.ArgumentParser(add_help=False, parents=[_aws()])
    stack.add_argument("--stack-name", default="hyperframes", metavar="NAME", help="the CloudFormation stack (default: hyperframes)")
    return stack


@dataclass(frozen=True)
class Verbs:
    """The verbs of a command line, or of a verb that has verbs of its own.

    `quiet`, `aws` and `stack` are what a verb can build on: `--json`; that and how AWS is reached; that and the stack's name.
    """

    subparsers: SubParsers
    quiet: argparse.ArgumentParser = field(default_factory=_quiet)
    aws: argparse.ArgumentParser = field(default_factory=_aws)
    stack: argparse.ArgumentParser = field(default_factory=_stack)

    def add(self, name: str, target: str, text: str, parent: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """A verb.

        :param target: what it calls, `module.function` within `hyperframes_provider.cli`; imported when the verb is typed
        :param text: what it does, beginning with a small letter and without a full stop
        :param parent: `quiet`, `aws` or `stack`
        """
        added = self.subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[parent])
        module, function = target.split(".")
        added.set_defaults(verb=(module, function))
        return added

    def group(self, name: str, text: str) -> Verbs:
        """A verb that has verbs of its own."""
        made = self.subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        return Verbs(made.add_subparsers(metavar="VERB", required=True), self.quiet, self.aws, self.stack)


def positive(text: str) -> int:
    """A whole number from 1, as argparse reads one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return number


def identity(parser: argparse.ArgumentParser) -> None:
    """Which render is meant."""
    parser.add_argument("id", metavar="ID", help="the execution's ARN, its name, the id that the log shows, or: latest")


def project(parser: argparse.ArgumentParser) -> None:
    """A project on this machine, and how it is to be looked at."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the folder with index.html")
    composition(parser)


def composition(parser: argparse.ArgumentParser) -> None:
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


def encoding(parser: argparse.ArgumentParser) -> None:
    """How the video is made and cut into chunks."""
    formats = "mp4, webm, mov, hls, gif, png-sequence, png, jpeg, webp, m4a or wav"
    parser.add_argument("--format", help=f"{formats}; default: as the output ends, else mp4")
    parser.add_argument("--quality", help="draft, standard (default) or high")
    parser.add_argument("--crf", type=int, metavar="N", help="constant rate factor: 0 to 51, for webm to 63")
    parser.add_argument("--bitrate", metavar="RATE", help="such as 8M, instead of a constant rate factor")
    sidecars = "poster, contact-sheet, captions or report, made beside the output; may be repeated"
    parser.add_argument("--sidecar", dest="sidecars", action="append", metavar="NAME", help=sidecars)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other field: codec=h265, audio=false")
    parser.add_argument("--chunk-size", type=int, metavar="FRAMES")
    parser.add_argument("--max-parallel-chunks", type=int, metavar="N")
