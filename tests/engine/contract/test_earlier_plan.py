"""A plan written by an earlier commit is read as it was meant: renders that are under way survive an update of the stack."""

from __future__ import annotations

from pathlib import Path

from hyperframes_lambda.contract.plan import parse_manifest

EARLIER = Path(__file__).parent / "plans" / "one-box.json"
"""The manifest of `tests/compositions/gsap-box` as planned by commit 41b3adb."""


def test_an_earlier_manifest_has_the_hash_that_it_was_sealed_with_and_is_written_back_to_the_byte() -> None:
    text = EARLIER.read_bytes()

    manifest = parse_manifest(text)

    assert manifest.plan_hash == "944b2a8f7bad53bc81337f116416e4b92cf720ee3cd0027c51f0d8b29f662b52"
    assert manifest.sealed() == manifest
    assert manifest.to_json().encode() == text
    assert (manifest.total_frames, manifest.width, manifest.height, len(manifest.files)) == (60, 640, 360, 9)
