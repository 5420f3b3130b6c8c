"""Stands in for the function of a stack of the reference renderer: its events, results and errors on the wire, and it draws nothing.

`Config.variables` says how the render goes: `chunks`: how many · `seconds`: how long each takes · `fail`: {"name", "chunk" (absent: Plan),
"times"} · `vary`: its plan is never twice the same. `Config` is refused as the reference's Plan refuses it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from typing import Any

import boto3
from botocore.exceptions import ClientError

S3 = boto3.client("s3")
FRAMES = 10
KNOWN = {"fps", "width", "height", "format", "codec", "quality", "crf", "bitrate", "chunkSize", "targetChunkFrames", "maxParallelChunks"}
KNOWN |= {"runtimeCap", "variables", "entryFile"}


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    assert event.pop("PlanProtocol") == "v2"
    for name, uri in event.items():
        if name.endswith(("S3Uri", "S3Prefix")) and uri is not None and split(uri)[0] != os.environ["HYPERFRAMES_RENDER_BUCKET"]:
            raise error("S3_URI_NOT_ALLOWED", f"[handler] S3_URI_NOT_ALLOWED: URI {uri}")
    return {"plan": plan, "renderChunk": render_chunk, "assemble": assemble}[event["Action"]](event)


def plan(event: dict[str, Any]) -> dict[str, Any]:
    config = event["Config"]
    assert set(config) <= KNOWN, f"never sent by the reference's client: {sorted(set(config) - KNOWN)}"
    assert config["fps"] in (24, 30, 60)
    assert config["format"] in ("mp4", "mov", "webm", "png-sequence")
    assert all(isinstance(config[name], int) for name in ("width", "height"))
    assert config["format"] == "mp4" or "codec" not in config
    bucket, key = split(event["ProjectS3Uri"])
    with tarfile.open(fileobj=io.BytesIO(S3.get_object(Bucket=bucket, Key=key)["Body"].read()), mode="r:gz") as project:
        assert config.get("entryFile", "index.html") in [name.removeprefix("./") for name in project.getnames()]
    wanted = config.get("variables", {})
    prefix = event["PlanOutputS3Prefix"].removesuffix("/") + "/v2"
    fail(prefix, wanted, None)
    manifest = json.dumps({**wanted, "salt": time.time_ns() if wanted.get("vary") else 0}).encode()
    publish(f"{prefix}/manifest.json", manifest)
    count = wanted.get("chunks", 2)
    return {
        "Action": "plan",
        "PlanProtocol": "v2",
        "PlanV2ManifestS3Uri": f"{prefix}/manifest.json",
        "PlanV2ArtifactS3Prefix": f"{prefix}/artifacts/sha256",
        "PlanHash": hashlib.sha256(manifest).hexdigest(),
        "ChunkCount": count,
        "TotalFrames": count * FRAMES,
        "Fps": config["fps"],
        "Width": config["width"],
        "Height": config["height"],
        "Format": config["format"],
        "HasAudio": False,
        "AudioS3Uri": None,
        "FfmpegVersion": "7.0",
        "ProducerVersion": "0.8.31",
        "DurationMs": 1,
    }


def render_chunk(event: dict[str, Any]) -> dict[str, Any]:
    wanted = json.loads(get(event["PlanV2ManifestS3Uri"]))
    fail(event["PlanV2ManifestS3Uri"].removesuffix("/manifest.json"), wanted, event["ChunkIndex"])
    time.sleep(wanted.get("seconds", 0))
    ending = ".tar.gz" if event["Format"] == "png-sequence" else f".{event['Format']}"
    uri = f"{event['ChunkOutputS3Prefix'].removesuffix('/')}/chunks/{event['ChunkIndex']:04d}{ending}"
    put(uri, b"chunk")
    return {
        "Action": "renderChunk",
        "ChunkS3Uri": uri,
        "ChunkIndex": event["ChunkIndex"],
        "Sha256": "cd" * 32,
        "FramesEncoded": FRAMES,
        "CaptureMode": "beginframe",
        "DurationMs": 1,
    }


def assemble(event: dict[str, Any]) -> dict[str, Any]:
    assert event["AudioS3Uri"] is None
    assert [get(uri) for uri in event["ChunkS3Uris"]] == [b"chunk"] * len(event["ChunkS3Uris"])
    put(event["OutputS3Uri"], frames() if event["Format"] == "png-sequence" else b"video")
    return {
        "Action": "assemble",
        "OutputS3Uri": event["OutputS3Uri"],
        "FramesEncoded": len(event["ChunkS3Uris"]) * FRAMES,
        "FileSize": 5,
        "DurationMs": 1,
    }


def frames() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number in (1, 2):
            entry = tarfile.TarInfo(f"./frame_{number:06d}.png")
            entry.size = 3
            archive.addfile(entry, io.BytesIO(b"png"))
    return packed.getvalue()


def fail(prefix: str, wanted: dict[str, Any], chunk: int | None) -> None:
    fault = wanted.get("fail")
    if not fault or fault.get("chunk") != chunk:
        return
    bucket, key = split(f"{prefix}/faults/")
    so_far = S3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount", 0)
    if so_far < fault.get("times", 99):
        S3.put_object(Bucket=bucket, Key=f"{key}{so_far}", Body=b"")
        raise error(fault["name"], f"[producer] {fault['name']} was asked for")


def error(name: str, message: str) -> Exception:
    raised: Exception = type(name, (Exception,), {})(message)
    return raised


def publish(uri: str, content: bytes) -> None:
    """A plan that lies there already must be the same."""
    bucket, key = split(uri)
    try:
        found = S3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError:
        S3.put_object(Bucket=bucket, Key=key, Body=content)
        return
    if found != content:
        raise error("PLAN_ARTIFACT_DIGEST_MISMATCH", f"[s3Transport] immutable object {uri} already exists")


def get(uri: str) -> bytes:
    bucket, key = split(uri)
    content: bytes = S3.get_object(Bucket=bucket, Key=key)["Body"].read()
    return content


def put(uri: str, content: bytes) -> None:
    bucket, key = split(uri)
    S3.put_object(Bucket=bucket, Key=key, Body=content)


def split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
