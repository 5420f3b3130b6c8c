"""Files that a chunk needs: those that its frames show or its page reads, and no media that are only heard or shown elsewhere."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

from hyperframes_lambda.contract.config import parse_config
from hyperframes_lambda.contract.plan import blob_path
from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_lambda.plan import plan
from hyperframes_lambda.render_chunk import render_chunk
from tests.engine.media.numbered_video import H264, make_video

PAGE = """<!doctype html><html><head><meta charset="utf-8"></head><body style="margin:0">
<div data-composition-id="page" data-start="0" data-duration="1" data-width="320" data-height="180" data-no-timeline>
  <video src="early.mp4" data-start="0" data-duration="0.25" muted></video>
  <video src="late.mp4" data-start="0.75" data-duration="0.25" muted></video>
  <audio src="heard.wav" data-start="0"></audio>
  <audio src="drawn.wav" data-start="0"></audio>
  <p id="wave"></p>
</div>
<script>
  fetch("drawn.wav").then((answer) => answer.arrayBuffer()).then((sound) => {
    document.getElementById("wave").textContent = sound.byteLength;
  });
</script></body></html>"""


def test_a_chunk_needs_what_its_frames_show_and_what_its_page_reads(tmp_path: Path, toolset: Toolset) -> None:
    project, planned = tmp_path / "project", tmp_path / "plan"
    project.mkdir()
    (project / "index.html").write_text(PAGE)
    for name in ("early.mp4", "late.mp4"):
        make_video(toolset.ffmpeg.path, project / name, 12 if name == "early.mp4" else 13, *H264, rate="24")
    for name, seconds in (("heard.wav", 1), ("drawn.wav", 2)):
        _write_silence(project / name, seconds)

    manifest = plan(project, parse_config({"fps": 24, "chunkSize": 12}), planned)

    media = {"early.mp4", "late.mp4", "heard.wav", "drawn.wav"}
    needed = [manifest.files_shown([(chunk.first, chunk.last)]) for chunk in manifest.chunks]
    assert [files & media for files in needed] == [{"early.mp4", "drawn.wav"}, {"late.mp4", "drawn.wav"}]
    assert manifest.files.keys() - needed[0] == {"late.mp4", "heard.wav"}
    # The chunk renders with nothing else.
    brought = tmp_path / "brought"
    for path in ("manifest.json", *(blob_path(manifest.files[name].sha256) for name in needed[1])):
        (brought / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(planned / path, brought / path)
    assert render_chunk(brought, 1, tmp_path).frames == 12


def _write_silence(path: Path, seconds: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(2 * 8000 * seconds))
