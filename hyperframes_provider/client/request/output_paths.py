"""Output paths: an S3 URI, or a file or folder on this machine, and the format that the name implies."""

from __future__ import annotations

import os
from pathlib import Path

from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.formats import OutputFormat, format_of
from hyperframes_provider.client.aws.errors import InvalidRequest


def is_remote(output: str) -> bool:
    """Whether `output` is an S3 URI."""
    return output.startswith("s3://")


def format_asked(output: str) -> OutputFormat | None:
    """Return the format that the ending of `output` implies, None for an unknown one; `folder/` means frames."""
    return OutputFormat.PNG_SEQUENCE if output.endswith("/") else format_of(Path(output).suffix)


def check_output_path(output: str, config: RenderConfig) -> None:
    """Raise `InvalidRequest` unless a local path suits the format and can be written; nothing has been uploaded or paid for yet."""
    if is_remote(output):
        return
    path = Path(output)
    name, suffix = config.format.value, config.format.spec.suffix
    if config.format is OutputFormat.PNG_SEQUENCE:
        if path.suffix not in ("", suffix) and not output.endswith("/"):
            raise InvalidRequest(
                f"-o {output}: the format {name} needs a folder or a file ending in {suffix}",
                hint=f"hyperframes-airflow render PROJECT -o FOLDER --format {name}",
            )
    elif format_of(path.suffix) is not config.format or path.is_dir():
        raise InvalidRequest(
            f"-o {output}: the format {name} needs a file ending in {suffix}",
            hint=f"hyperframes-airflow render PROJECT -o OUT{suffix}; for a folder of frames: -o FOLDER/",
        )
    existing = next(parent for parent in path.absolute().parents if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise InvalidRequest(f"-o {output}: {existing} is not writable", hint="Choose another folder: -o /some/where/OUT.mp4")
