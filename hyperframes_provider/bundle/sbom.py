"""The CycloneDX document of the bundle: every package with version, licence, digest and files."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from hyperframes_provider.bundle.wheels import Wheel
from hyperframes_provider.toolset.installed import InstalledPart
from hyperframes_provider.toolset.part import Registry, Role

SBOM = "sbom.cdx.json"

_ALGORITHMS = {"sha256": "SHA-256", "sha512": "SHA-512"}
_KINDS = {Role.FONT: "data", Role.RUNTIME: "library"}


@dataclass(frozen=True)
class Component:
    """A package. `files` are names in the ZIP."""

    name: str
    version: str
    kind: str
    purl: str
    licence: str
    algorithm: str
    digest: str
    """Digest of the registry's archive, in hexadecimal."""
    files: tuple[str, ...]


def of_wheel(wheel: Wheel, files: Iterable[str]) -> Component:
    """Return the component of a Python package."""
    purl = f"pkg:pypi/{wheel.name.lower().replace('_', '-')}@{wheel.version}"
    return Component(wheel.name, wheel.version, "library", purl, wheel.licence, "SHA-256", wheel.sha256, tuple(sorted(files)))


def of_part(found: InstalledPart, files: Iterable[str]) -> Component:
    """Return the component of a pinned part."""
    part = found.part
    algorithm, _, text = part.integrity.partition("-")
    name = part.spec.rpartition("@")[0] if part.registry is Registry.NPM else part.spec.partition("==")[0]
    kind = "npm" if part.registry is Registry.NPM else "pypi"
    return Component(
        name=name,
        version=part.version,
        kind=_KINDS.get(part.role, "application"),
        purl=f"pkg:{kind}/{quote(name, safe='/')}@{part.version}",
        licence=part.licence,
        algorithm=_ALGORITHMS[algorithm],
        digest=base64.b64decode(text).hex(),
        files=tuple(sorted(files)),
    )


def document(version: str, components: Sequence[Component], own: Sequence[str]) -> bytes:
    """Return the document. It has no time and no random number, so that equal bundles have equal documents."""
    listed = [_component(component) for component in sorted(components, key=lambda component: component.purl)]
    root = {
        "type": "application",
        "bom-ref": "hyperframes-provider",
        "name": "hyperframes-provider",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "evidence": {"occurrences": [{"location": name} for name in own]},
    }
    content: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": listed,
        "dependencies": [{"ref": "hyperframes-provider", "dependsOn": [component["bom-ref"] for component in listed]}],
    }
    content["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content, sort_keys=True))}"
    return json.dumps(content, indent=1, sort_keys=True).encode()


def _component(component: Component) -> dict[str, Any]:
    return {
        "type": component.kind,
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
        "hashes": [{"alg": component.algorithm, "content": component.digest}],
        "licenses": [_licence(component.licence)],
        "evidence": {"occurrences": [{"location": name} for name in component.files]},
    }


def _licence(text: str) -> Mapping[str, Any]:
    """Return an SPDX expression as an expression, and free text as a name."""
    simple = text.replace(".", "").replace("-", "").isalnum() or " AND " in text or " OR " in text
    return {"expression": text} if simple and "LicenseRef" not in text else {"license": {"name": text}}
