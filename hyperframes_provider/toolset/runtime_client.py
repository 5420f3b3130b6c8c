"""The pinned Runtime Interface Client, which Lambda's Python runtime brings and a function's ZIP does not."""

from __future__ import annotations

from hyperframes_provider.toolset.part import Member, Part, Registry, Role


def _client_part(name: str, version: str, integrity: str, size: int, *members: Member, python: str) -> Part:
    return Part(
        name=f"{name}-cp{python.replace('.', '')}",
        version=version,
        registry=Registry.PYPI,
        spec=f"{name}=={version}",
        integrity=integrity,
        size=size,
        role=Role.CLIENT,
        members=members,
        main=members[0].target,
        python=python,
    )


RUNTIME_CLIENT: dict[str, tuple[Part, ...]] = {
    "3.13": (
        _client_part(
            "awslambdaric",
            "4.2.2",
            "sha256-IhW8oBu9vfqVebtCBPVdPpHm3uWJuI+PnSCihaeQxGg=",
            356_709,
            Member("runtime_client.cpython-313-x86_64-linux-gnu.so", "runtime_client.cpython-313-x86_64-linux-gnu.so"),
            Member("awslambdaric/*.py", "awslambdaric"),
            Member("awslambdaric-4.2.2.dist-info/licenses/LICENSE", "licenses/LICENSE"),
            python="3.13",
        ),
        _client_part(
            "simplejson",
            "4.3.0",
            "sha256-IJHfGorTq2kg1fR1J1SM/Xpja8Cdkbgk2yPH4MHdvvI=",
            216_630,
            Member("simplejson/__init__.py", "simplejson/__init__.py"),
            *(Member(f"simplejson/{name}.py", f"simplejson/{name}.py") for name in ("compat", "decoder", "encoder", "errors")),
            *(Member(f"simplejson/{name}.py", f"simplejson/{name}.py") for name in ("ordered_dict", "raw_json", "scanner")),
            Member("simplejson/_speedups.cpython-313-x86_64-linux-gnu.so", "simplejson/_speedups.cpython-313-x86_64-linux-gnu.so"),
            Member("simplejson-4.3.0.dist-info/licenses/LICENSE.txt", "licenses/LICENSE.txt"),
            python="3.13",
        ),
        _client_part(
            "snapshot-restore-py",
            "1.0.0",
            "sha256-OPmeaWeTeQ9UZY5xxox6ikDOqHfIEjK1BSODsTAazro=",
            3_782,
            Member("snapshot_restore_py.py", "snapshot_restore_py.py"),
            Member("snapshot_restore_py-1.0.0.dist-info/LICENSE", "licenses/LICENSE"),
            python="3.13",
        ),
    )
}
"""The Runtime Interface Client and its dependencies, by the Python version of the sandbox."""
