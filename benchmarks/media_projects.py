"""Write projects with video, sound and text for the comparison with the reference.

python benchmarks/media_projects.py FOLDER

The toolset's ffmpeg makes their media from formulas: a test picture that counts its frames, and rising tones, so that a wrong frame and a
wrong moment are both measurable. The projects' closed forms are tested elsewhere; here they are only rendered twice.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperframes_lambda.contract.toolset import Toolset
from hyperframes_provider.toolset import toolset_path

_COUNTER = "testsrc2=size=320x180:rate={rate}:duration={seconds}"
_RISING = "aevalsrc=exprs={level}*sin(2*PI*({low}*t+150*t*t)):sample_rate=48000:duration={seconds}"
_H264 = ["-c:v", "libx264", "-crf", "12", "-pix_fmt", "yuv420p", "-colorspace", "bt709", "-color_range", "tv"]
_AAC = ["-c:a", "aac", "-b:a", "192k"]
_VARIABLE = "setpts='if(lt(N,12),N/12,1+(N-12)/48)/TB'"
"""One second at 12 frames per second, then the rest at 48."""

Media = dict[str, list[str]]
"""ffmpeg arguments for each file, by its name."""


@dataclass(frozen=True)
class Project:
    """One composition: the content of its stage, its style and script, its media files, and its other pages."""

    stage: str
    media: Media
    style: str = ""
    script: str = ""
    pages: dict[str, str] | None = None
    seconds: float = 2.0


def counter(seconds: float, rate: str = "30", *, sound: bool = False, filters: str = "null") -> list[str]:
    """Return arguments for a test picture that counts its frames, optionally with a rising tone."""
    video = ["-f", "lavfi", "-i", _COUNTER.format(rate=rate, seconds=seconds)]
    if not sound:
        return [*video, "-vf", filters, "-fps_mode", "passthrough", *_H264]
    return [*video, *tone(seconds)[:4], "-vf", filters, *_H264, *_AAC]


def tone(seconds: float, low: int = 300, level: float = 0.3) -> list[str]:
    """Return arguments for a rising tone from `low` Hz."""
    return ["-f", "lavfi", "-i", _RISING.format(low=low, level=level, seconds=seconds), "-c:a", "pcm_s16le"]


def alpha(codec: list[str]) -> list[str]:
    """Return arguments for a test picture that is transparent on the right."""
    half = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,160),255,64)'"
    return ["-f", "lavfi", "-i", _COUNTER.format(rate=30, seconds=1), "-vf", half, *codec]


def _video(attributes: str, style: str = "") -> str:
    return f'<video class="clip" style="position:absolute;left:0;top:0;width:320px;height:180px;{style}" {attributes}></video>'


def _audio(attributes: str) -> str:
    return f"<audio {attributes}></audio>"


_LATE = f"""<template id="late-template">
<div data-composition-id="late" data-width="320" data-height="180" data-duration="1.5" data-no-timeline>
{_video('id="inner" src="a.mp4" data-start="0.25" data-duration="1" data-media-start="0.5" data-has-audio="true"')}
</div></template>
"""

_TEXT = "".join(
    f'<p style="top:{8 + 21 * row}px;font-family:{family};font-weight:{weight}">{name} {weight} The quick brown fox 0123</p>'
    for row, (name, family, weight) in enumerate(
        [
            ("Arial", "Arial", 400),
            ("system", "system-ui, sans-serif", 700),
            ("Georgia", "Georgia, serif", 400),
            ("Courier", "&quot;Courier New&quot;, monospace", 700),
            ("Roboto", "Roboto", 900),
            ("Playfair", "&quot;Playfair Display&quot;", 700),
            ("Bebas", "&quot;Bebas Neue&quot;", 400),
            ("serif", "serif", 400),
        ]
    )
)

_FADE = """const tl = gsap.timeline({ paused: true });
tl.fromTo("#a", { volume: 0 }, { volume: 1, duration: 1, ease: "none" }, 0).to("#a", { volume: 0.2, duration: 1, ease: "none" }, 1);
window.__timelines = { main: tl };"""

_RAMP = """data-automation='{"version":1,"lanes":[{"target":"rate","points":[{"t":0.2,"v":0.5},{"t":1.2,"v":2}]}]}'"""

PROJECTS: dict[str, Project] = {
    "video-plain": Project(
        _video('id="v" src="a.mp4" data-start="0" data-duration="2" data-has-audio="true"'), {"a.mp4": counter(2, sound=True)}
    ),
    "video-in-point-rate-2": Project(
        _video(
            'id="v" src="a.mp4" data-start="0.2" data-duration="1.4" data-media-start="0.3" data-playback-rate="2" data-has-audio="true"'
        ),
        {"a.mp4": counter(4, sound=True)},
    ),
    "video-rate-half": Project(
        _video('id="v" src="a.mp4" data-start="0" data-duration="2" data-playback-rate="0.5" data-has-audio="true"'),
        {"a.mp4": counter(2, sound=True)},
    ),
    "video-speed-ramp": Project(
        _video(f'id="v" src="a.mp4" data-start="0.2" data-duration="1.8" data-has-audio="true" {_RAMP}'), {"a.mp4": counter(4, sound=True)}
    ),
    "video-loop": Project(_video('id="v" src="a.mp4" data-start="0" data-duration="2" muted loop'), {"a.mp4": counter(0.7)}),
    "video-loop-in-point": Project(
        _video('id="v" src="a.mp4" data-start="0.1" data-duration="1.9" data-media-start="0.3" muted loop'), {"a.mp4": counter(1)}
    ),
    "video-hold": Project(_video('id="v" src="a.mp4" data-start="0.5" data-duration="1.5" muted'), {"a.mp4": counter(0.8)}),
    "video-other-rate": Project(_video('id="v" src="a.mp4" data-start="0" data-duration="2" muted'), {"a.mp4": counter(2, "24000/1001")}),
    "video-variable-rate": Project(
        _video('id="v" src="a.mp4" data-start="0" data-duration="2" muted'), {"a.mp4": counter(2.2, "48", filters=_VARIABLE)}
    ),
    "video-alpha-vp9": Project(
        _video('id="v" src="a.webm" data-start="0" data-duration="1" muted'),
        {"a.webm": alpha(["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-b:v", "0", "-crf", "10", "-auto-alt-ref", "0"])},
        seconds=1,
    ),
    "video-alpha-prores": Project(
        _video('id="v" src="a.mov" data-start="0" data-duration="1" muted'),
        {"a.mov": alpha(["-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"])},
        seconds=1,
    ),
    "video-styles": Project(
        _video('id="v" src="a.mp4" data-start="0" data-duration="2" muted', "left:20px;top:10px;width:160px;height:140px;object-fit:cover")
        + _video(
            'id="w" src="a.mp4" data-start="0.5" data-duration="1.5" muted', "left:200px;top:30px;width:100px;height:100px;opacity:0.6"
        ),
        {"a.mp4": counter(2)},
        style="#v { border-radius: 30px; } #w { transform: rotate(20deg); clip-path: circle(45%); opacity: 0.6; }",
    ),
    "video-late-host": Project(
        '<div class="clip" style="position:absolute;inset:0" data-composition-id="late" data-composition-src="late.html" data-start="0.4"'
        ' data-duration="1.5"></div>',
        {"a.mp4": counter(2, sound=True)},
        pages={"late.html": _LATE},
    ),
    "audio-three": Project(
        _audio('id="a" src="a.wav" data-start="0.1" data-duration="0.5"')
        + _audio('id="b" src="b.wav" data-start="0.7" data-duration="0.6" data-media-start="0.2" data-volume="0.5"')
        + _audio('id="c" src="a.wav" data-start="1.25" data-volume="1.5"'),
        {"a.wav": tone(0.6), "b.wav": tone(1, low=700)},
    ),
    "audio-fades": Project(
        _audio('id="a" src="a.wav" data-start="0.2" data-duration="1.6" data-fade-in="0.5" data-fade-out="0.4"'), {"a.wav": tone(2)}
    ),
    "audio-animated-volume": Project(_audio('id="a" src="a.wav" data-start="0" data-duration="2"'), {"a.wav": tone(2)}, script=_FADE),
    "audio-rate": Project(
        _audio('id="a" src="a.wav" data-start="0.1" data-duration="0.8" data-playback-rate="1.5"')
        + _audio('id="b" src="a.wav" data-start="1" data-duration="1" data-playback-rate="0.7"'),
        {"a.wav": tone(2)},
    ),
    "audio-group": Project(
        '<hf-audio-group id="bus" data-volume="0.5"></hf-audio-group>'
        + _audio('id="a" src="a.wav" data-start="0" data-duration="1.5" data-audio-group="bus"')
        + _audio('id="b" src="b.wav" data-start="0.5" data-duration="1.5" data-audio-group="bus"')
        + _audio('id="c" src="b.wav" data-start="1.2" data-duration="0.5"'),
        {"a.wav": tone(1.5), "b.wav": tone(1.5, low=700)},
    ),
    "audio-too-loud": Project(
        _audio('id="a" src="a.wav" data-start="0" data-duration="2"') + _audio('id="b" src="b.wav" data-start="0.5" data-duration="1"'),
        {"a.wav": tone(2, level=0.9), "b.wav": tone(1, low=700, level=0.9)},
    ),
    "audio-mono-44100": Project(
        _audio('id="a" src="a.wav" data-start="0.3"'), {"a.wav": [*tone(1)[:4], "-ac", "1", "-ar", "44100", "-c:a", "pcm_s16le"]}
    ),
    "audio-silenced": Project(
        _video('id="v" src="a.mp4" data-start="0" data-duration="2" muted')
        + _video('id="w" src="a.mp4" data-start="0.5" data-duration="1" data-has-audio="false"', "width:100px;height:60px")
        + _audio('id="a" src="b.wav" data-start="0" data-duration="1" data-hidden')
        + _audio('id="b" src="b.wav" data-start="1" data-duration="1"'),
        {"a.mp4": counter(2, sound=True), "b.wav": tone(1, low=700)},
    ),
    "font-families": Project(_TEXT, {}, style="p { position: absolute; left: 4px; margin: 0; font-size: 15px; color: #111; }", seconds=0.5),
}


def write(project: Project, folder: Path, make: Callable[[Path, list[str]], None]) -> None:
    """Write one project; `make` produces its media."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in project.media.items():
        make(folder / name, arguments)
    for name, text in (project.pages or {}).items():
        (folder / name).write_text(text)
    timeline = "" if project.script else " data-no-timeline"
    gsap = '<script src="gsap.min.js"></script>' if project.script else ""
    (folder / "index.html").write_text(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8" />{gsap}
<style>html, body {{ margin: 0; background: #e8e0d0; overflow: hidden; }}
#stage {{ position: relative; width: 320px; height: 180px; overflow: hidden; }}
{project.style}</style></head><body>
<div id="stage" data-composition-id="main" data-start="0" data-duration="{project.seconds}" data-width="320" data-height="180"{timeline}>
{project.stage}
</div>
<script>{project.script}</script>
</body></html>
"""
    )


def write_projects(folder: Path, ffmpeg: Path) -> None:
    """Write every project below `folder`, each under its name."""

    def make(path: Path, arguments: list[str]) -> None:
        subprocess.run([str(ffmpeg), "-v", "error", "-y", *arguments, str(path)], check=True)

    for name, project in PROJECTS.items():
        write(project, folder / name, make)


if __name__ == "__main__":
    write_projects(Path(sys.argv[1]), Toolset.model_validate_json(toolset_path().read_text()).ffmpeg.path)
