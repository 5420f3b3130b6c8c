"""Small archives in the place of the real parts: the same code fetches, checks and unpacks them, without a network."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest

from hyperframes_provider.toolset.part import Member, Packing, Part, Registry, Role

PROGRAM = b"#!/bin/sh\necho Fake 1.2.3\n"


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def fake_part(tmp_path: Path) -> Callable[..., Part]:
    """A part out of a few files; npm takes the path of a packed package where the real table has a name."""

    def part(name: str, role: Role, files: dict[str, bytes], members: tuple[Member, ...], **more: object) -> Part:
        manifest = b'{"name": "%s", "version": "1.0.0"}' % name.encode()
        packed = tar_of({"package/package.json": manifest, **files}, "w:gz")
        archive = tmp_path / "registry" / f"{name}-1.0.0.tgz"
        archive.parent.mkdir(exist_ok=True)
        archive.write_bytes(packed)
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
        settings: dict[str, object] = {"main": members[0].target, **more}
        return Part(name, "1.0.0", Registry.NPM, str(archive), integrity, len(packed), role, members, **settings)  # type: ignore[arg-type]

    return part


@pytest.fixture
def fake_parts(fake_part: Callable[..., Part]) -> tuple[Part, ...]:
    """One part of each role."""
    part = fake_part
    fonts = brotli.compress(tar_of({"fonts/A.ttf": b"font"}))
    return (
        part(
            "browser",
            Role.BROWSER,
            {"package/browser.br": brotli.compress(PROGRAM), "package/fonts.br": fonts},
            (
                Member("package/browser.br", "browser", Packing.BROTLI, executable=True),
                Member("package/fonts.br", "fonts", Packing.BROTLI_TAR),
            ),
            probe=("--version",),
            fonts="fonts/fonts",
        ),
        part(
            "encoder",
            Role.FFMPEG,
            {"package/encoder": PROGRAM},
            (Member("package/encoder", "encoder", executable=True),),
            probe=("-version",),
        ),
        part("runtime", Role.RUNTIME, {"package/runtime.js": b"1;"}, (Member("package/runtime.js", "runtime.js"),)),
        part("tween", Role.LIBRARY, {"package/tween.js": b"2;"}, (Member("package/tween.js", "tween.js"),)),
    )


@pytest.fixture
def everything_in() -> Callable[[Path], set[str]]:
    def names(folder: Path) -> set[str]:
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}

    return names
