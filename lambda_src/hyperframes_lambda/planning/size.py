"""Size and frame rate of the output, from the configuration and the composition's own declarations."""

from __future__ import annotations

from fractions import Fraction

from hyperframes_lambda.composition import Declaration
from hyperframes_lambda.contract.config import RenderConfig
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.formats import VideoCodec, rate_fault, rate_name
from hyperframes_lambda.contract.plan import Canvas

DEFAULT_FPS = Fraction(30)
DEFAULT_WIDTH, DEFAULT_HEIGHT = 1080, 1920
"""Size for a page and a configuration without one: portrait, as in the reference."""

_SMALLEST, _LARGEST = 16, 7680
_LOW, _LONG = 32, 4216
"""H.265 has no level for a picture with fewer than 32 samples in one direction and, in whole coding blocks of 8, more than 4222 in the
other: from level 5 on it requires coding tree blocks of 32 (ITU-T H.265, A.4.1 and A.4.2)."""


def output_size(config: RenderConfig, declaration: Declaration) -> tuple[Canvas, int, int]:
    """Return the composition's canvas with its scale, and the output's width and height in pixels.

    The output has the composition's own size unless the configuration names another of the same shape; either of `width` and `height` is
    enough. Raise `INVALID_CONFIG` for another shape, and for a size that the format cannot hold.
    """
    own_width = declaration.width or config.width or DEFAULT_WIDTH
    own_height = declaration.height or config.height or DEFAULT_HEIGHT
    shape = Fraction(own_width, own_height)
    exact_width = config.width or (config.height * shape if config.height else Fraction(own_width))
    exact_height = config.height or (config.width / shape if config.width else Fraction(own_height))
    width, height = round(exact_width), round(exact_height)
    if (width, height) != (exact_width, exact_height) or Fraction(width, height) != shape:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.width, config.height: {float(exact_width):g}x{float(exact_height):g} does not have the shape of the composition, "
            f"which is {own_width}x{own_height}",
            hint="Use a multiple of the composition's size, or change data-width and data-height on its root.",
        )
    odd = config.format.spec.even and (width % 2 or height % 2)
    if odd or min(width, height) < _SMALLEST or max(width, height) > _LARGEST:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.width, config.height: {config.format} cannot be {width}x{height}; "
            f"accepted: even numbers from {_SMALLEST} to {_LARGEST}",
            hint="Change data-width and data-height on the composition's root, or use another size of the same shape.",
        )
    if config.codec is VideoCodec.H265 and min(width, height) < _LOW and max(width, height) > _LONG:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.codec: h265 cannot be {width}x{height}; accepted: at most {_LONG} in one direction, or at least {_LOW} in the other",
            hint="Use h264, or another size.",
        )
    return Canvas(width=own_width, height=own_height, scale=width / own_width), width, height


def output_rate(config: RenderConfig, declaration: Declaration) -> Fraction:
    """Return the frame rate: the configuration's, else the composition's, else 30. Raise `INVALID_CONFIG` when the format excludes it."""
    fps = config.fps or declaration.fps or DEFAULT_FPS
    fault = rate_fault(config.format, fps, constant=config.cfr)
    if fault:
        raise RenderError(
            ErrorCode.INVALID_CONFIG,
            f"config.fps: {rate_name(fps)} frames per second is not accepted; {fault}",
            hint="Set fps in the configuration, or change data-fps on the composition's root.",
        )
    return fps
