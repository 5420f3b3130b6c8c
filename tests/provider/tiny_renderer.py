"""The render function of these tests: speaks the wire, draws nothing. `Config.variables` says how the render goes.

`chunks`: how many · `seconds`: how long each takes · `fail`: {"code", "chunk" (absent: Plan), "times"} · `mention`: printed to the log
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

import boto3

S3 = boto3.client("s3")
FRAMES = 10
HASH = "ab" * 32


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    return {"plan": plan, "renderChunk": render_chunk, "assemble": assemble}[event["Action"]](event)


def plan(event: dict[str, Any]) -> dict[str, Any]:
    bucket, prefix = split(event["PlanOutputS3Prefix"])
    wanted = event["Config"].get("variables", {})
    put(bucket, f"{prefix}plan/manifest.json", wanted)
    fail(bucket, prefix, wanted, None)
    count = wanted.get("chunks", 2)
    return {
        "ManifestS3Uri": f"s3://{bucket}/{prefix}plan/manifest.json",
        "PlanHash": HASH,
        "ChunkCount": count,
        "Chunks": list(range(count)),
        "ChunksBucket": bucket,
        "ChunksKey": f"{prefix}plan/chunks.json",
        "MaxParallelChunks": 2,
        "TotalFrames": count * FRAMES,
        "Fps": 30,
        "Duration": count * FRAMES / 30,
        "Width": 320,
        "Height": 180,
        "Format": "mp4",
        "HasAudio": False,
        "RendererVersion": "0.1.0",
        "BrowserVersion": "none",
        "FfmpegVersion": "none",
        "RuntimeVersion": "none",
        "Reused": False,
        "DurationMs": 1,
    }


def render_chunk(event: dict[str, Any]) -> dict[str, Any]:
    bucket, key = split(event["ManifestS3Uri"])
    prefix = key.removesuffix("plan/manifest.json")
    wanted = json.loads(S3.get_object(Bucket=bucket, Key=key)["Body"].read())
    index, segment = event["ChunkIndex"], f"{prefix}chunks/{HASH}/{event['ChunkIndex']:06d}.mp4"
    fail(bucket, prefix, wanted, index)
    reused = "Contents" in S3.list_objects_v2(Bucket=bucket, Prefix=segment)
    started = time.time()
    if not reused:
        put(bucket, f"{prefix}progress/{index:06d}.json", progress(index, FRAMES // 2, started, complete=False, reused=False))
        time.sleep(wanted.get("seconds", 0))
        put(bucket, segment, {})
    put(bucket, f"{prefix}progress/{index:06d}.json", progress(index, FRAMES, started, complete=True, reused=reused))
    return {
        "ChunkIndex": index,
        "Complete": True,
        "FramesEncoded": FRAMES,
        "FramesRendered": 0 if reused else FRAMES,
        "SegmentS3Uris": [] if reused else [f"s3://{bucket}/{segment}"],
        "Reused": reused,
        "Workers": 1,
        "CaptureMs": 1,
        "EncodeMs": 1,
        "ColdStart": False,
        "DurationMs": 1,
    }


def assemble(event: dict[str, Any]) -> dict[str, Any]:
    bucket, key = split(event["ManifestS3Uri"])
    count = json.loads(S3.get_object(Bucket=bucket, Key=key)["Body"].read()).get("chunks", 2)
    to, name = split(event["OutputS3Uri"])
    S3.put_object(Bucket=to, Key=name, Body=b"video")
    return {
        "OutputS3Uri": event["OutputS3Uri"],
        "FramesEncoded": count * FRAMES,
        "FileSize": 5,
        "Duration": count * FRAMES / 30,
        "Width": 320,
        "Height": 180,
        "Format": "mp4",
        "HasAudio": False,
        "ChunkCount": count,
        "PlanHash": HASH,
        "RendererVersion": "0.1.0",
        "Verification": {"FramesCompared": count * FRAMES},
        "Sidecars": {"poster": f"s3://{to}/{name.removesuffix('.mp4')}.poster.jpg"},
        "DurationMs": 1,
    }


def fail(bucket: str, prefix: str, wanted: dict[str, Any], chunk: int | None) -> None:
    fault = wanted.get("fail")
    if not fault or fault.get("chunk") != chunk:
        return
    key = f"{prefix}faults/"
    so_far = S3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount", 0)
    if so_far < fault.get("times", 99):
        put(bucket, f"{key}{so_far}", {})
        if fault["code"] == "exit":
            os._exit(1)
        raise type(fault["code"], (Exception,), {})(f"{fault['code']} was asked for\nand this is what to do")


def progress(index: int, frames: int, started: float, *, complete: bool, reused: bool) -> dict[str, Any]:
    return {
        "ChunkIndex": index,
        "FramesDone": frames,
        "FramesTotal": FRAMES,
        "StartedAt": started,
        "UpdatedAt": time.time(),
        "Complete": complete,
        "Reused": reused,
    }


def put(bucket: str, key: str, content: dict[str, Any]) -> None:
    S3.put_object(Bucket=bucket, Key=key, Body=json.dumps(content).encode())


def split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
