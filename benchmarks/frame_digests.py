"""Digests of every frame of the demo, the closed-form compositions and the conformance cases, to compare two versions of the engine.

    python benchmarks/frame_digests.py > now.txt
    python benchmarks/frame_digests.py --python OTHER_CHECKOUT/.venv/bin/python > before.txt
    diff before.txt now.txt

Each composition is rendered as a PNG sequence by `python -m hyperframes_lambda render`, in one process. A line holds the SHA-256 over the
digests of its frames, the number of frames, and its name. The projects are those of this checkout, without remote files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperframes_lambda.contract.toolset import TOOLSET_VARIABLE, Toolset
from hyperframes_provider.toolset import toolset_path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from tests.conformance import cases, closed_form  # noqa: E402
from tests.conformance.materialise import write_projects  # noqa: E402


def main() -> None:
    """Render everything that the options select and print its digests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter of the checkout to render with")
    parser.add_argument("names", nargs="*", help="compositions to render (default: all)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frame-digests-") as scratch:
        for name, project, config in _jobs(Path(scratch) / "projects", set(options.names)):
            frames = _frames(options.python, project, config, Path(scratch) / "frames")
            digest = hashlib.sha256("".join(frames).encode()).hexdigest()
            sys.stdout.write(f"{digest}  {len(frames):4}  {name}\n")
            sys.stdout.flush()


def _jobs(folder: Path, wanted: set[str]) -> Iterator[tuple[str, Path, Mapping[str, Any]]]:
    """Name, project and configuration of every composition."""
    toolset = Toolset.model_validate_json(toolset_path().read_text())
    gsap = toolset.libraries["gsap"].path
    selected = [case for case in cases.CASES if not wanted or case.name in wanted]
    write_projects(sorted({case.folder for case in selected}), folder / "conformance", toolset)
    if not wanted or "demo" in wanted:
        demo = shutil.copytree(ROOT / "dags" / "projects" / "demo", folder / "demo")
        shutil.copy(gsap, demo / "assets" / "gsap.min.js")
        yield "demo", demo, {}
    for form in closed_form.CASES:
        if not wanted or form.name in wanted:
            project = shutil.copytree(ROOT / "tests" / "compositions" / form.name, folder / "closed-form" / form.name)
            shutil.copy(gsap, project / "gsap.min.js")
            yield form.name, project, {"fps": 30, "variables": form.variables}
    for case in selected:
        yield case.name, folder / "conformance" / case.folder, {"fps": 25, "variables": case.variables, **case.config}


def _frames(python: Path, project: Path, config: Mapping[str, Any], out: Path) -> list[str]:
    """SHA-256 of each frame's PNG file, in order."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    settings = [f"--set={name}={json.dumps(value)}" for name, value in config.items() if name not in ("fps", "variables")]
    command = [str(python), "-m", "hyperframes_lambda", "render", str(project), "-o", str(out), "--workers", "1", *settings]
    command += ["--fps", str(config["fps"])] if "fps" in config else []
    command += ["--variables", json.dumps(config["variables"])] if config.get("variables") else []
    environment = {**os.environ, TOOLSET_VARIABLE: str(toolset_path())}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{project.name}: {done.stderr}")
    return [hashlib.sha256(frame.read_bytes()).hexdigest() for frame in sorted(out.glob("*.png"))]


if __name__ == "__main__":
    main()
