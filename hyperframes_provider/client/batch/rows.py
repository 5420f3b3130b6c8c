"""The rows of a batch: read from a file, given their outputs, and all of them validated before anything is started."""

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
"""Rows with faults that a message names."""
_LONGEST_PART = 60
"""Characters of a variable in the name of an output."""


@dataclass(frozen=True)
class Row:
    """One render of a batch, as it is asked for.

    :param number: counted from 1
    """

    number: int
    variables: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    """What differs from the configuration of the batch."""
    output: str | None = None
    """A path, or an S3 URI; None: as the batch's template says."""


@dataclass(frozen=True)
class PlannedRow:
    """A row that is seen to be right."""

    number: int
    config: RenderConfig
    output: str | None
    """A path of this machine or an S3 URI; None: the default place in the stack's bucket."""

    @property
    def remote(self) -> str | None:
        """The output, when it is on S3."""
        return self.output if self.output is not None and is_remote(self.output) else None

    @property
    def path(self) -> Path | None:
        """The output, when it is on this machine."""
        return Path(self.output) if self.output is not None and not is_remote(self.output) else None


@dataclass(frozen=True)
class RowFault:
    """What is wrong with a row."""

    number: int
    message: str


class InvalidBatch(InvalidRequest):
    """Rows of the batch cannot be accepted; nothing was started.

    :param faults: every one, in the order of the rows
    """

    def __init__(self, faults: Sequence[RowFault]) -> None:
        named = [f"row {fault.number}: {fault.message}" for fault in faults[:_NAMED_FAULTS]]
        more = [f"and {len(faults) - _NAMED_FAULTS} more"] if len(faults) > _NAMED_FAULTS else []
        super().__init__(
            "\n".join([f"{len(faults)} of the batch's rows cannot be rendered; nothing was started", *named, *more]),
            hint="Correct them, then type the same hyperframes-airflow render-batch command again.",
        )
        self.faults = tuple(faults)


def read_rows(path: Path) -> list[Row]:
    """The rows of a `.jsonl`, `.json` or `.csv` file.

    JSON rows are objects with `variables`, `config` and `output`, each of which may be absent. The columns of a CSV file are variables,
    but for `output` and `config.FIELD`; `variables.NAME` is a variable of any name. A cell that is JSON is read as such, an empty one is
    not there. Raises `InvalidRequest` for a file of another kind, `InvalidBatch` for rows that cannot be read.
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
        raise InvalidRequest(f"batch: {path}: a file ending in {', '.join(readers)} is needed", hint="One row a render.")
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
        raise InvalidRequest(f"batch: {path} has no rows", hint="One row a render.")
    return rows


def read_row(number: int, value: object) -> Row:
    """A row from its JSON object; `InvalidRequest` says what else was found."""
    if isinstance(value, _NotJson):
        raise InvalidRequest(f"not JSON: {value.fault}")
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"an object is needed, not {json.dumps(value, default=str)[:60]}")
    unknown = [name for name in value if name not in _FIELDS]
    if unknown:
        raise InvalidRequest(f"{', '.join(map(str, unknown))}: unknown; a row has {', '.join(_FIELDS)}, and variables go into `variables`")
    for name in ("variables", "config"):
        if not isinstance(value.get(name, {}), Mapping):
            raise InvalidRequest(f"{name}: an object is needed")
    if not isinstance(value.get("output", ""), str):
        raise InvalidRequest("output: a text is needed")
    return Row(number, value.get("variables", {}), value.get("config", {}), value.get("output"))


def plan_rows(rows: Iterable[Row], config: Mapping[str, Any], *, template: str | None = None) -> list[PlannedRow]:
    """Every row with its whole configuration and its output, or `InvalidBatch` with what is wrong.

    :param config: the configuration of the batch, as a mapping that `parse_config` takes; a row's variables are added to its `variables`
    :param template: names the outputs, with `{row}`, `{row:04d}` and `{a_variable}`; what a variable says is made fit for a file name.
        The ending says the format, where neither the row nor the batch names one
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
                faults.append(RowFault(row.number, f"output {done.output} is that of row {first}, too"))
                continue
        planned.append(done)
    if faults:
        raise InvalidBatch(faults)
    return planned


def _plan_row(row: Row, config: Mapping[str, Any], template: str | None) -> PlannedRow:
    variables = {**config.get("variables", {}), **row.variables}
    # A field has two spellings, chunkSize and chunk_size; the row's must replace the batch's whichever each of them uses.
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
    """`videos/0003-studio-north.mp4` of `videos/{row:04d}-{name}.mp4`."""
    if template is None:
        return None
    named = {name: slug(str(value))[:_LONGEST_PART] for name, value in variables.items()}
    try:
        return template.format_map({**named, "row": number})
    except KeyError as error:
        known = ", ".join(["row", *named])
        raise InvalidRequest(f"-o {template}: the row has no variable {error}; it has {known}") from None
    except (ValueError, IndexError, AttributeError) as error:
        raise InvalidRequest(f"-o {template}: {error}; such as videos/{{row:04d}}.mp4 is accepted") from None


@dataclass(frozen=True)
class _NotJson:
    fault: str


def _lines(text: str, _path: Path) -> Iterator[object]:
    for line in text.splitlines():
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                yield _NotJson(str(error))


def _array(text: str, path: Path) -> Iterator[object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidRequest(f"batch: {path} is not JSON: {error}", hint="A .jsonl file has one object a line.") from error
    if not isinstance(value, list):
        raise InvalidRequest(f"batch: {path}: an array of rows is needed", hint="A .jsonl file has one object a line.")
    yield from value


def _table(text: str, path: Path) -> Iterator[object]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        if len(set(names)) != len(names) or not all(names):
            raise InvalidRequest(f"batch: {path}: each column needs a name of its own", hint=f"Its first line is: {','.join(names)}")
        for cells in reader:
            yield _NotJson("more cells than the table has columns") if None in cells else _of_cells(cells)
    except csv.Error as error:
        raise InvalidRequest(f"batch: {path}: line {reader.line_num}: {error}", hint="Cells with commas or quotes are quoted.") from error


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
    """47 and true are what they look like; everything that is not JSON is text, and so is what JSON calls NaN."""
    try:
        return json.loads(text, parse_constant=str)
    except ValueError:
        return text
