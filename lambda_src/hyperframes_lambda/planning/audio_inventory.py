"""The plan's audio tracks: the audible media elements of the page, and their loudness.

Attributes define the loudness, unless a script sets the volume while the composition plays. Then it is sampled here, frame by frame, and
becomes an envelope. Chunks do not deal with sound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from hyperframes_lambda.browser.media_sounds import Volume
from hyperframes_lambda.contract.errors import ErrorCode, RenderError
from hyperframes_lambda.contract.media import AudioTrack, GainPoint
from hyperframes_lambda.media.audio_automation import product, simplified, volume_points
from hyperframes_lambda.planning.media_inventory import FoundMedia

Volumes = Mapping[int, Volume]
"""Volumes by the number of the element."""


def audio_tracks(
    found: Sequence[FoundMedia], before: Volumes, after: Volumes, volumes_at: Callable[[Fraction], Volumes], fps: Fraction
) -> list[AudioTrack]:
    """Return the tracks of the audible elements, in the order of the page.

    `before` and `after` are the volumes when the page was opened and after its whole timeline, which reveal the elements whose volume a
    script sets. For those, `volumes_at` gives the volumes at seconds of the composition. A volume curve in `data-automation` replaces the
    volume; a muted element is silent in any case.

    Raise `MEDIA_UNREADABLE` for an `<audio>`, or a `<video>` with `data-has-audio="true"`, whose file has no sound, and
    `COMPOSITION_UNSUPPORTED` for an effect chain or an unreadable `data-automation`, which would sound different.
    """
    moved = {media.element.index for media in found if _is_moved(media, before, after)}
    heard = [media for media in found if _is_heard(media, silenced=media.element.index not in moved and after[media.element.index].muted)]
    moving = [media for media in heard if media.element.index in moved]
    samples = _sampled(moving, volumes_at, fps)
    tracks = []
    for media in heard:
        element = media.element
        envelope = volume_points(element.sound.automation, start=media.start, end=media.end, element=element.name)
        gain = 1.0
        if media in moving:
            frames = sorted(samples.keys() & set(_frames([media], fps)))
            level = _unmuted if envelope else _gain
            sampled = [GainPoint(time=float(frame / fps), gain=level(samples[frame][element.index])) for frame in frames]
            envelope = product(envelope, simplified(sampled))
        elif not envelope:
            gain = _gain(after[element.index])
        group = element.sound.group
        if group is not None:
            curve = volume_points(group.automation, start=0.0, end=media.end, element=f'<hf-audio-group id="{group.id}">')
            gain *= 1.0 if curve else group.volume
            envelope = product(envelope, curve)
        envelope = simplified(envelope)
        if len(envelope) == 1:
            gain, envelope = gain * envelope[0].gain, []
        if gain > 0:
            tracks.append(_track(media, gain, envelope))
    return tracks


def _is_heard(media: FoundMedia, *, silenced: bool) -> bool:
    """Whether the element is audible: not hidden, not declared soundless, not `silenced`, and with sound in its file."""
    element, group = media.element, media.element.sound.group
    soundless = element.tag == "video" and element.has_audio is False
    if soundless or silenced or element.hidden or not element.sound.timed or (group is not None and group.hidden):
        return False
    if media.source.audio_codec is None:
        if element.tag == "audio" or element.has_audio:
            hint = "Use a file with sound, or remove the element." if element.tag == "audio" else 'Set data-has-audio="false".'
            raise RenderError(ErrorCode.MEDIA_UNREADABLE, f"{element.name}: {media.file!r} has no sound", hint=hint)
        return False
    if element.sound.effects or (group is not None and group.effects):
        message = f"{element.name}: sound effects (data-fx-chain on it, its group or the composition) are not rendered"
        raise RenderError(ErrorCode.COMPOSITION_UNSUPPORTED, message, hint="Apply them to the file and remove the attribute.")
    return media.start < _end(media)


def _is_moved(media: FoundMedia, before: Volumes, after: Volumes) -> bool:
    index = media.element.index
    return index not in before or before[index].writes != after[index].writes


def _frames(moving: Sequence[FoundMedia], fps: Fraction) -> list[int]:
    """Return the frames in the windows of the elements, and the first frame after each window, in order."""
    return sorted({frame for media in moving for frame in range(math.floor(media.start * fps), math.ceil(media.end * fps) + 1)})


def _sampled(moving: Sequence[FoundMedia], volumes_at: Callable[[Fraction], Volumes], fps: Fraction) -> dict[int, Volumes]:
    """Return the volumes at the frames of the elements' windows, skipping seconds in which no script sets one.

    That is safe because a seek past a tween also sets the volume; a second in which that happened is sampled frame by frame.
    """
    frames = _frames(moving, fps)
    step = max(1, round(fps))
    samples = {frame: volumes_at(frame / fps) for frame in frames[:1]}
    for place in range(0, len(frames) - 1, step):
        first, *rest = frames[place : place + step + 1]
        last = rest[-1]
        samples[last] = volumes_at(last / fps)
        if any(samples[first][media.element.index].writes != samples[last][media.element.index].writes for media in moving):
            samples |= {frame: volumes_at(frame / fps) for frame in (first, *rest)}
    return samples


def _gain(volume: Volume) -> float:
    return 0.0 if volume.muted else volume.volume


def _unmuted(volume: Volume) -> float:
    return 0.0 if volume.muted else 1.0


def _end(media: FoundMedia) -> float:
    """Return the end of the sound, where its fade-out ends: an `<audio>` that does not loop ends with its file, as in the reference.

    A `<video>` has its whole window: its picture stays, and its sound may be longer than the picture.
    """
    element = media.element
    if element.tag == "video" or element.loop:
        return media.end
    return min(media.end, media.file_end)


def _track(media: FoundMedia, gain: float, envelope: list[GainPoint]) -> AudioTrack:
    return AudioTrack(
        element=media.element.name,
        file=media.file,
        start=media.start,
        end=_end(media),
        media_start=media.media_start,
        rate=media.element.rate,
        speed=media.speed,
        loop=media.element.loop,
        gain=gain,
        envelope=envelope,
        fade_in=media.element.sound.fade_in,
        fade_out=media.element.sound.fade_out,
    )
