"""The rows of a batch: read from a file, given their outputs, and validated before anything is started."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from hyperframes_lambda.contract.config import RenderConfig, parse_config
from hyperframes_lambda.contract.errors import RenderError
from hyperframes_provider.client.aws.errors import HyperFramesClientError, InvalidRequest
from hyperframes_provider.client.request.names import slug
from hyperframes_provider.client.request.output_paths import check_output_path, format_asked, is_remote

_FIELDS = ("variables", "config", "output")
_NAMED_FAULTS = 20
"""Most faulty rows that a message lists."""
_LONGEST_PART = 60
"""Characters that a variable contributes to the name of an output."""


@dataclass(frozen=True)
class Row:
    """One render of a batch, as requested.

    :param number: counted from 1
    """

    number: int
    variables: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """Differences from the configuration of the batch."""
    output: str | None = None
    """A path or an S3 URI; None: named by the batch's template."""


@dataclass(frozen=True)
class PlannedRow:
    """A validated row."""

    number: int
    config: RenderConfig
    output: str | None
    """A local path or an S3 URI; None: the default key in the stack's bucket."""

    @property
    def remote(self) -> str | None:
        """The output if it is on S3."""
        return self.output if self.output is not None and is_remote(self.output) else None

    @property
    def path(self) -> Path | None:
        """The output if it is on this machine."""
        return Path(self.output) if self.output is not None and not is_remote(self.output) else None


@dataclass(frozen=True)
class RowFault:
    """A fault of a row."""

    number: int
    message: str


class InvalidBatch(InvalidRequest):
    """Some rows of the batch are not acceptable; nothing was started.

    :param faults: all faults in the order of the rows
    """

    def __init__(self, faults: Sequence[RowFault]) -> None:
        named = [f"row {fault.number}: {fault.message}" for fault in faults[:_NAMED_FAULTS]]
        more = [f"and {len(faults) - _NAMED_FAULTS} more"] if len(faults) > _NAMED_FAULTS else []
        super().__init__(
            "\n".join([f"{len(faults)} of the batch's rows cannot be rendered; nothing was started", *named, *more]),
            hint="Correct them, then run the same hyperframes-airflow render-batch command again.",
        )
        self.faults = tuple(faults)


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a `.jsonl`, `.json` or `.csv` file.

    JSON rows are objects with optional `variables`, `config` and `output`. The columns of a CSV file are variables, except `output` and
    `config.FIELD`; `variables.NAME` is a variable of any name. A cell is parsed as JSON if possible; an empty one counts as absent. Raise
    `InvalidRequest` for another kind of file, and `InvalidBatch` for unreadable rows.
    """
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidRequest(f"batch: {path}: {error.strerror}", hint="hyperframes-airflow render-batch PROJECT --rows FILE") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"batch: {path} is not UTF-8: {error}", hint="Save the file as UTF-8.") from error
    readers = {".jsonl": _lines, ".ndjson": _lines, ".json": _array, ".csv": _table}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidRequest(f"batch: {path}: the file must end in {', '.join(readers)}", hint="Write one row per render.")
    rows: list[Row] = []
    faults: list[RowFault] = []
    for number, value in enumerate(reader(text, path), 1):
        try:
            rows.append(read_row(number, value))
        except InvalidRequest as error:
            faults.append(RowFault(number, error.message))
    if faults:
        raise InvalidBatch(faults)
    if not rows:
        raise InvalidRequest(f"batch: {path} has no rows", hint="Write one row per render.")
    return rows


def read_row(number: int, value: object) -> Row:
    """Return the row in a JSON value; raise `InvalidRequest` for anything else."""
    if isinstance(value, _Unreadable):
        raise InvalidRequest(f"not JSON: {value.fault}")
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"expected an object, not {json.dumps(value, default=str)[:60]}")
    unknown = [name for name in value if name not in _FIELDS]
    if unknown:
        raise InvalidRequest(
            f"{', '.join(map(str, unknown))}: unknown; a row has {', '.join(_FIELDS)}, and variables belong into `variables`"
        )
    for name in ("variables", "config"):
        if not isinstance(value.get(name, {}), Mapping):
            raise InvalidRequest(f"{name}: expected an object")
    if not isinstance(value.get("output", ""), str):
        raise InvalidRequest("output: expected a string")
    return Row(number, value.get("variables", {}), value.get("config", {}), value.get("output"))


def plan_rows(rows: Iterable[Row], config: Mapping[str, Any], *, template: str | None = None) -> list[PlannedRow]:
    """Return every row with its complete configuration and its output, or raise `InvalidBatch`.

    :param config: the configuration of the batch, as accepted by `parse_config`; the variables of a row are added to its `variables`
    :param template: names of the outputs, with `{row}`, `{row:04d}` and `{a_variable}`, whose value is reduced to a valid file name. The
        ending implies the format if neither the row nor the batch has one
    """
    planned: list[PlannedRow] = []
    faults: list[RowFault] = []
    outputs: dict[str, int] = {}
    for row in rows:
        try:
            done = _plan_row(row, config, template)
        except (HyperFramesClientError, RenderError) as error:
            faults.append(RowFault(row.number, error.message.removeprefix("INVALID_CONFIG: ")))
            continue
        if done.output is not None:
            first = outputs.setdefault(done.output if done.remote else str(Path(done.output).absolute()), row.number)
            if first != row.number:
                faults.append(RowFault(row.number, f"output {done.output} is also that of row {first}"))
                continue
        planned.append(done)
    if faults:
        raise InvalidBatch(faults)
    return planned


def _plan_row(row: Row, config: Mapping[str, Any], template: str | None) -> PlannedRow:
    variables = {**config.get("variables", {}), **row.variables}
    # A field has two spellings, chunkSize and chunk_size: in either, the row's must replace the batch's.
    wanted = {to_camel(str(name)): value for given in (config, row.config) for name, value in given.items()} | {"variables": variables}
    output = row.output if row.output is not None else _output_name(template, row.number, variables)
    if output is not None and "format" not in wanted:
        asked = format_asked(output)
        if asked is not None:
            wanted["format"] = asked.value
    made = parse_config(wanted)
    if output is not None:
        check_output_path(output, made)
    return PlannedRow(row.number, made, output)


def _output_name(template: str | None, number: int, variables: Mapping[str, Any]) -> str | None:
    """Expand a template like `videos/{row:04d}-{name}.mp4`."""
    if template is None:
        return None
    named = {name: slug(str(value))[:_LONGEST_PART] for name, value in variables.items()}
    try:
        return template.format_map({**named, "row": number})
    except KeyError as error:
        known = ", ".join(["row", *named])
        raise InvalidRequest(f"-o {template}: the row has no variable {error}; it has {known}") from None
    except (ValueError, IndexError, AttributeError) as error:
        raise InvalidRequest(f"-o {template}: {error}; use a template like videos/{{row:04d}}.mp4") from None


@dataclass(frozen=True)
class _Unreadable:
    fault: str


def _lines(text: str, _path: Path) -> Iterator[object]:
    for line in text.splitlines():
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                yield _Unreadable(str(error))


def _array(text: str, path: Path) -> Iterator[object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"batch: {path} is not JSON: {error}", hint="Write one object per line in a .jsonl file.") from error
    if not isinstance(value, list):
        raise InvalidRequest(f"batch: {path}: expected an array of rows", hint="Write one object per line in a .jsonl file.")
    yield from value


def _table(text: str, path: Path) -> Iterator[object]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if len(set(names)) != len(names) or not all(names):
            raise InvalidRequest(f"batch: {path}: each column needs a unique name", hint=f"The first line is: {','.join(names)}")
        for cells in reader:
            yield _Unreadable("more cells than the table has columns") if None in cells else _of_cells(cells)
    except csv.Error as error:
        raise InvalidRequest(
            f"batch: {path}: line {reader.line_num}: {error}", hint="Quote cells that contain commas or quotes."
        ) from error


def _of_cells(cells: Mapping[str, str | None]) -> dict[str, Any]:
    row: dict[str, Any] = {"variables": {}, "config": {}}
    for name, text in cells.items():
        if not text:
            continue
        kind, dot, inner = name.partition(".")
        if name == "output":
            row["output"] = text
        elif dot and inner and kind in ("variables", "config"):
            row[kind][inner] = _value(text)
        else:
            row["variables"][name] = _value(text)
    return row


def _value(text: str) -> Any:
    """Parse a cell as JSON; anything else is text, and so are NaN and infinities."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
