"""The tables of the conformance suite: what is rendered, how, and what must come out of it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import tests.conformance.formulas as expect
from hyperframes_lambda.contract.config import RenderConfig
from tests.conformance import closed_form


@dataclass(frozen=True)
class Case:
    """A composition, its render configuration and its formula.

    `covers` names the row of the specification, `project` the folder below `projects/` (default: `name`). Every case is deterministic by
    contract. `tolerance` is in the unit of the formula.
    """

    name: str
    covers: str
    error: expect.Formula
    project: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    frames: int = 25
    tolerance: float = 1.0

    @property
    def folder(self) -> str:
        """Name of the project's folder."""
        return self.project or self.name

    @property
    def sequence(self) -> RenderConfig:
        """Configuration for a sequence of PNGs, at 25 fps unless the case names another rate."""
        return RenderConfig.model_validate({"fps": 25, "format": "png-sequence", "variables": self.variables, **self.config})

    def require(self, frames: Sequence[bytes], fps: Fraction) -> None:
        """Hold the PNG bytes of every frame to the formula."""
        pictures = (np.asarray(Image.open(io.BytesIO(frame)).convert("RGBA")) for frame in frames)
        errors = [self.error(picture, float(number / fps)) for number, picture in enumerate(pictures)]
        worst = int(np.argmax(errors))
        assert errors[worst] <= self.tolerance, f"frame {worst} of {self.name} at {fps} fps is {errors[worst]:.2f} from the formula"


CASES: tuple[Case, ...] = (
    Case("timing-expressions", "timing", expect.timing_expressions),
    Case("timing-windows", "timing", expect.timing_windows),
    Case("timing-late-host", "sub-compositions", expect.timing_late_host),
    Case("sub-template", "sub-compositions", expect.sub_template),
    Case("sub-instances", "sub-compositions, variables", expect.sub_instances),
    Case("gsap-timeline", "gsap", expect.gsap_timeline),
    Case("gsap-callbacks", "gsap", expect.gsap_callbacks),
    Case("gsap-from", "gsap", expect.gsap_from),
    Case("css-timing", "css", expect.css_timing),
    Case("css-property", "css", expect.css_property),
    Case("css-3d", "css", expect.css_3d),
    Case("css-clip-mask", "css", expect.css_clip_mask),
    Case("css-filters", "css", expect.css_filters, tolerance=2.0),
    Case("css-blend", "css", expect.css_blend, tolerance=2.0),
    Case("css-gradients", "css", expect.css_gradients, tolerance=6.0),
    Case("css-queries", "css", expect.css_queries),
    Case("scroll-position", "css", expect.scroll_position),
    Case("top-layer", "css", expect.top_layer),
    Case("smil", "smil", expect.smil),
    Case("svg-paint", "svg", expect.svg_paint, tolerance=2.0),
    Case("waapi-effects", "waapi", expect.waapi_effects),
    Case("raf-clocks", "raf", expect.five_lanes),
    Case("random", "seeded randomness", expect.random_dots),
    Case("seek-promise", "adapters: hf-seek", expect.two_lanes),
    Case("canvas-2d", "canvas", expect.canvas_2d),
    Case("image-sequence", "images", expect.image_sequence),
    Case("image-choice", "images", expect.image_choice),
    Case("image-choice-2x", "images, output sizes", expect.image_choice_dense, project="image-choice", config={"width": 640}),
    Case("animated-image", "images", expect.animated_image),
    Case("shadow-dom", "documents", expect.shadow_dom),
    Case("iframe-nested", "documents", expect.five_lanes),
    Case("mathml", "documents", expect.mathml, tolerance=1.5),
    Case("text-layout", "documents", expect.text_layout),
    Case("hf-page", "pages without a runtime", expect.three_lanes, config={"width": 320, "height": 180}),
    Case("variables-default", "variables", expect.variables_default, project="variables"),
    Case(
        "variables-given",
        "variables",
        expect.variables_given,
        project="variables",
        variables={
            "title": "thirteen char",
            "reach": 200,
            "shade": "#0000ff",
            "extra": True,
            "side": "right",
            "face": "sans-serif",
            "picture": "green.svg",
        },
        config={"strictVariables": True},
    ),
    Case("webgl", "adapters: WebGL", expect.webgl),
    Case("transparent", "formats: alpha", expect.transparent),
    Case("anime", "adapters: anime.js", expect.anime),
    Case("anime-3", "adapters: anime.js", expect.two_lanes),
    Case("lottie", "adapters: Lottie", expect.three_lanes),
    Case("three", "adapters: three.js", expect.three),
    Case("d3", "adapters: d3", expect.d3),
    Case("tailwind", "adapters: Tailwind", expect.tailwind),
    Case("leaflet", "adapters: maps", expect.leaflet),
    Case("maplibre", "adapters: maps", expect.maplibre),
    Case("remote-gsap", "remote assets", expect.remote_gsap),
    Case("google-fonts", "remote assets, fonts", expect.google_fonts),
    Case("fonts", "fonts", expect.fonts),
    Case("font-files", "fonts", expect.font_files, tolerance=0.1),
    Case("video-attributes", "source video", expect.video_attributes),
    Case("video-late", "source video, sub-compositions", expect.video_late),
    Case("video-looks", "source video", expect.video_looks, tolerance=12.0),
    Case("video-sources", "source video", expect.video_sources),
    Case("video-textures", "source video", expect.video_textures),
)

CLOSED_FORM = tuple(
    Case(case.name, "closed form", case.error, variables=case.variables, config={"fps": 24}, frames=48) for case in closed_form.CASES
)
"""The compositions of two seconds in `tests/compositions`, which other suites render too."""


@dataclass(frozen=True)
class Tone:
    """A tone that is heard from `start` to `end`."""

    start: float
    end: float
    hertz: int
    amplitude: float


@dataclass(frozen=True)
class OutputCase:
    """One format of a composition, by default of `sound`, and what a decoder finds in the finished file.

    `pictures` is the number of frames, `tolerance` that of the box in pixels; `tones` are those of its sound, if it has one.
    """

    name: str
    config: Mapping[str, object]
    suffix: str
    codec: str = ""
    pixels: str = ""
    sound: str = ""
    pictures: int = 25
    tolerance: float = 1.0
    project: str = "sound"
    tones: tuple[Tone, ...] = (Tone(0.1, 0.4, 440, 0.5), Tone(0.5, 0.8, 880, 0.25))


OUTPUTS: tuple[OutputCase, ...] = (
    OutputCase("mp4", {"format": "mp4"}, ".mp4", "h264", "yuv420p", "aac"),
    OutputCase("mp4-h265", {"format": "mp4", "codec": "h265"}, ".mp4", "hevc", "yuv420p", "aac"),
    OutputCase("webm", {"format": "webm"}, ".webm", "vp9", "yuv420p", "opus"),
    OutputCase("mov", {"format": "mov"}, ".mov", "prores", "yuva444p12le", "pcm_s24le"),
    OutputCase("hls", {"format": "hls"}, ".m3u8", "h264", "yuv420p", "aac"),
    OutputCase("gif", {"format": "gif"}, ".gif", "gif", "bgra"),
    OutputCase("png", {"format": "png", "at": 0.48}, ".png", "png", "", pictures=1),
    OutputCase("jpeg", {"format": "jpeg", "frame": 12}, ".jpg", "mjpeg", "", pictures=1),
    OutputCase("webp", {"format": "webp", "frame": 12}, ".webp", "webp", "", pictures=1),
    OutputCase("m4a", {"format": "m4a"}, ".m4a", sound="aac", pictures=0),
    OutputCase("wav", {"format": "wav"}, ".wav", sound="pcm_s24le", pictures=0),
    OutputCase(
        "another-speed",
        {"format": "wav"},
        ".wav",
        sound="pcm_s24le",
        pictures=0,
        project="sound-rate",
        tones=(Tone(0, 0.4, 440, 0.5), Tone(0.5, 0.9, 880, 0.5)),
    ),
    OutputCase("mp4-twice-the-size", {"format": "mp4", "width": 640}, ".mp4", "h264", "yuv420p", "aac"),
    OutputCase("mp4-ntsc", {"format": "mp4", "fps": "30000/1001"}, ".mp4", "h264", "yuv420p", "aac", pictures=30),
)


@dataclass(frozen=True)
class SoundCase:
    """One composition, and the value of every sample of its mix."""

    name: str
    covers: str
    sound: Callable[[NDArray[np.float64]], NDArray[np.float64]]


SOUNDS: tuple[SoundCase, ...] = (
    SoundCase("sound-shapes", "audio: GSAP-driven volume, fades", expect.sound_shapes),
    SoundCase("sound-groups", "audio: groups, in-points, looping", expect.sound_groups),
)


@dataclass(frozen=True)
class Refusal:
    """A composition that cannot be rendered, and the words with which Plan says so."""

    name: str
    code: str
    words: tuple[str, ...]
    project: str = ""
    variables: Mapping[str, object] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of the project's folder."""
        return self.project or self.name


REFUSALS: tuple[Refusal, ...] = (
    Refusal("strict-undeclared", "INVALID_CONFIG", ("config.variables.tilte", "title"), "variables", {"tilte": "x"}),
    Refusal("strict-number", "INVALID_CONFIG", ("config.variables.reach", "'far'", "number"), "variables", {"reach": "far"}),
    Refusal("strict-enum", "INVALID_CONFIG", ("config.variables.side", "'middle'", "'left', 'right'"), "variables", {"side": "middle"}),
    Refusal("strict-boolean", "INVALID_CONFIG", ("config.variables.extra", "1"), "variables", {"extra": 1}),
    Refusal("timeline-missing", "COMPOSITION_NOT_READY", ("timeline-missing", "data-no-timeline")),
    Refusal("remote-missing", "ASSET_UNAVAILABLE", ("https://nowhere.invalid/picture.png", "index.html")),
    Refusal("remote-private", "ASSET_UNAVAILABLE", ("http://169.254.169.254/latest/meta-data", "metadata")),
    # No browser without a GPU shows what WebGPU has drawn; asking for an adapter answers that there is none.
    Refusal("typegpu", "COMPOSITION_ERROR", ("Could not find a compatible GPU", "typegpu")),
)
