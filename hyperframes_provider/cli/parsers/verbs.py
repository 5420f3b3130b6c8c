"""Registration of verbs, and the options that they share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hyperframes_provider.client.request.names import DEFAULT_STACK

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]


def _quiet() -> argparse.ArgumentParser:
    quiet = argparse.ArgumentParser(add_help=False)
    quiet.add_argument("--json", action="store_true", help="print one JSON document to stdout, and everything else to stderr")
    return quiet


def _aws() -> argparse.ArgumentParser:
    aws = argparse.ArgumentParser(add_help=False, parents=[_quiet()])
    aws.add_argument("--endpoint-url", metavar="URL", help="default: $AWS_ENDPOINT_URL, else the embedded endpoint if it is up, else AWS")
    aws.add_argument("--region", metavar="NAME", help="AWS region (default: from the profile or the environment)")
    aws.add_argument("--profile", metavar="NAME", help="profile of the AWS configuration; ignores the embedded endpoint")
    return aws


def _stack() -> argparse.ArgumentParser:
    stack = argparse.ArgumentParser(add_help=False, parents=[_aws()])
    stack.add_argument("--stack-name", default=DEFAULT_STACK, metavar="NAME", help=f"the CloudFormation stack (default: {DEFAULT_STACK})")
    return stack


@dataclass(frozen=True)
class Verbs:
    """The verbs of the command line, or the subverbs of a verb.

    `quiet`, `aws` and `stack` are parent parsers: `quiet` has `--json`, `aws` adds the connection to AWS, and `stack` the stack's name.
    """

    subparsers: SubParsers
    quiet: argparse.ArgumentParser = field(default_factory=_quiet)
    aws: argparse.ArgumentParser = field(default_factory=_aws)
    stack: argparse.ArgumentParser = field(default_factory=_stack)

    def add(self, name: str, target: str, text: str, parent: argparse.ArgumentParser) -> argparse.ArgumentParser:
        """Add a verb.

        :param target: `module.function` within `hyperframes_provider.cli`, imported when the verb runs
        :param text: the help, in lower case and without a full stop
        :param parent: `quiet`, `aws` or `stack`
        """
        added = self.subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", parents=[parent])
        module, function = target.split(".")
        added.set_defaults(verb=(module, function))
        return added

    def group(self, name: str, text: str) -> Verbs:
        """Add a verb with subverbs."""
        made = self.subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        return Verbs(made.add_subparsers(metavar="VERB", required=True), self.quiet, self.aws, self.stack)


def positive(text: str) -> int:
    """Parse a positive integer for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def pairs(parser: argparse.ArgumentParser, option: str, text: str) -> None:
    """Add an option for a name and a value, which may be repeated."""
    parser.add_argument(option, action="append", default=[], metavar="NAME=VALUE", help=f"{text}; may be repeated")


def identity(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names a render."""
    parser.add_argument("id", metavar="ID", help="ARN or name of the execution, the id that the log shows, or latest")


def project(parser: argparse.ArgumentParser) -> None:
    """Add a project on this machine and the options of its composition."""
    parser.add_argument("project", type=Path, metavar="PROJECT", help="the folder with index.html")
    composition(parser)


def composition(parser: argparse.ArgumentParser) -> None:
    """Add the options of the composition."""
    pairs(parser, "--var", "a variable; a JSON value is read as JSON")
    parser.add_argument("--variables", metavar="JSON", help="all variables as a JSON object, or @FILE with one")
    parser.add_argument("--strict-variables", action="store_true", default=None, help="refuse variables that are not declared")
    parser.add_argument("--fps", metavar="RATE", help="frame rate, such as 30 or 30000/1001 (default: the composition's, else 30)")
    parser.add_argument("--width", type=int, metavar="PX", help="width of the video (default: the composition's)")
    parser.add_argument("--height", type=int, metavar="PX", help="height of the video (default: the composition's)")
    hosts = "a host with a private address to allow, such as assets.internal; may be repeated"
    parser.add_argument("--allowed-host", dest="allowed_hosts", action="append", metavar="HOST", help=hosts)
    parser.add_argument("--entry-file", metavar="PATH", help="the page to open (default: index.html)")


def encoding(parser: argparse.ArgumentParser) -> None:
    """Add the options of the encoding and the chunks."""
    formats = "mp4, webm, mov, hls, gif, png-sequence, png, jpeg, webp, m4a or wav"
    parser.add_argument("--format", help=f"{formats} (default: from the output's extension, else mp4)")
    parser.add_argument("--quality", help="draft, standard (default) or high")
    parser.add_argument("--crf", type=int, metavar="N", help="constant rate factor: 0 to 51, for webm 0 to 63")
    parser.add_argument("--bitrate", metavar="RATE", help="bitrate, such as 8M, instead of a constant rate factor")
    sidecars = "poster, contact-sheet, captions or report, written beside the output; may be repeated"
    parser.add_argument("--sidecar", dest="sidecars", action="append", metavar="NAME", help=sidecars)
    pairs(parser, "--set", "any other field, such as codec=h265 or audio=false")
    parser.add_argument("--chunk-size", type=int, metavar="FRAMES", help="frames in a chunk")
    parser.add_argument("--max-parallel-chunks", type=int, metavar="N", help="simultaneous chunks")
