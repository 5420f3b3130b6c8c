"""The build context of a container image for the function: the files of the ZIP with unpacked tools, and a Dockerfile that copies them.

Building the image fetches only its base. A cold start unpacks nothing, but Lambda loads a larger image.
"""

from __future__ import annotations

import io
import lzma
import shutil
import tempfile
from pathlib import Path

from hyperframes_lambda.contract.bundle import BUNDLE_FOLDER, BUNDLE_NAME, FONTS_CONF, UNPACKED, Packing, Payload, with_roots
from hyperframes_provider.bundle.build import Contents, as_bundle_errors, gather
from hyperframes_provider.bundle.checks import check_glibc
from hyperframes_provider.bundle.errors import BundleError
from hyperframes_provider.bundle.wheels import PYTHON
from hyperframes_provider.client.aws.archives import tarfile
from hyperframes_provider.client.aws.zips import Entry
from hyperframes_provider.toolset.report import SetupReporter

TASK_ROOT = "/var/task"
TOOLS_ROOT = "/opt/hyperframes"
TOOLSET = f"{TOOLS_ROOT}/toolset.json"
_FONT_CACHE = "/tmp/hyperframes-fontconfig"
"""Below /tmp, the only folder that the function may write to."""

DOCKERFILE = f"""# The HyperFrames render function as a container image: docker build -t hyperframes .
# The build fetches only the base image, AWS's own for the function's runtime.
ARG BASE=public.ecr.aws/lambda/python:{PYTHON}
FROM ${{BASE}}
COPY tools/ {TOOLS_ROOT}/
COPY task/ {TASK_ROOT}/
ENV HYPERFRAMES_TOOLSET={TOOLSET}
CMD ["handler.handler"]
"""


def build_image_context(folder: Path, progress: SetupReporter | None = None) -> int:
    """Write the context to `folder`, which must be empty or missing; return its size in bytes. Raises `BundleError`."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BundleError(f"{folder} is not an empty folder", hint="Name an empty or a new folder: hyperframes-airflow build --image DIR")
    with as_bundle_errors():
        contents = gather(progress)
    check_glibc(contents.glibc)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _write(contents, staged)
        staged.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _write(contents: Contents, folder: Path) -> None:
    tools = folder / "tools"
    packed = {f"{BUNDLE_FOLDER}/{payload.file}": payload for payload in contents.bundle.payloads}
    for entry in contents.entries:
        if entry.name in packed:
            _unpack(packed[entry.name], _content(entry), tools)
        elif entry.name == f"{BUNDLE_FOLDER}/{FONTS_CONF}":
            text = _content(entry).decode().replace(f"{UNPACKED}/fontconfig", _FONT_CACHE)
            _file(tools / FONTS_CONF, with_roots(text, f"{TASK_ROOT}/{BUNDLE_FOLDER}", TOOLS_ROOT).encode())
        elif entry.name != f"{BUNDLE_FOLDER}/{BUNDLE_NAME}":
            _file(folder / "task" / entry.name, _content(entry), executable=entry.executable)
    toolset = contents.bundle.tools(Path(TASK_ROOT, BUNDLE_FOLDER), Path(TOOLS_ROOT))
    _file(tools / Path(TOOLSET).name, toolset.model_dump_json(indent=1).encode())
    _file(folder / "Dockerfile", DOCKERFILE.encode())


def _unpack(payload: Payload, packed: bytes, tools: Path) -> None:
    target = tools / payload.target
    if payload.packing is Packing.XZ:
        _file(target, lzma.decompress(packed), executable=payload.executable)
        return
    import brotli

    content = bytes(brotli.decompress(packed))
    if payload.packing is Packing.BROTLI:
        _file(target, content, executable=payload.executable)
        return
    target.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(target, filter="data")


def _content(entry: Entry) -> bytes:
    return entry.content if isinstance(entry.content, bytes) else entry.content.read_bytes()


def _file(path: Path, content: bytes, *, executable: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)
