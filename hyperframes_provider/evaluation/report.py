"""`results.json`, and a table for a person."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hyperframes_provider.client.aws.connect import Connect, is_loopback
from hyperframes_provider.evaluation.quality import Quality

RESULTS = "results.json"


def heading(kind: str, run: str, connect: Connect) -> dict[str, Any]:
    """Return the beginning of every report: kind, run, time and place."""
    client = connect("stepfunctions")
    embedded = is_loopback(client.meta.endpoint_url)
    return {
        "kind": kind,
        "run": run,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "provider": version("hyperframes-provider"),
        "where": {"embedded": embedded, "region": client.meta.region_name, "cpus_of_this_machine": os.cpu_count()},
    }


def write(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write `results.json`; replace an earlier one only with a complete file."""
    folder.mkdir(parents=True, exist_ok=True)
    path, partial = folder / RESULTS, folder / f".{RESULTS}.part"
    partial.write_text(json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False) + "\n", "utf-8")
    return partial.replace(path)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table with the first column left-aligned and the others right-aligned."""
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if index == 0 else cell.rjust(width) for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [line(columns), *(line(row) for row in rows)]


def decibels(quality: Quality) -> str:
    """Return `47.3 dB` or `identical`."""
    return "identical" if quality.psnr_db is None else f"{quality.psnr_db:.1f} dB"
