"""Looks into a recording before it is transcribed: its length, its tracks, and which channels they become.

Blocking: use a thread. Invariant: a file that cannot be transcribed is refused here, with the reason.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from host_stt_common.audio_file import AudioFile, AudioFileError, Float32Array, tracks_of
from host_stt_common.audio_tracks import Detector, picked_track
from host_stt_common.channel_ids import channel_id_of
from webrtc_host.jobs.options import ChannelMode

logger = logging.getLogger(__name__)

HOP = 800  # samples: 50 ms
ACTIVE_POWER = 1e-6  # -60 dBFS: quieter hops say nothing about the speakers
ONE_SIDED = 8.0  # ratio of power (9 dB) at which a hop belongs to one side
UNLIKE = 0.3  # correlation below which the two sides of a hop are different sounds
SEPARATE_SHARE = 0.6
SIDE_SHARE = 0.05
"""Sides are separate when most hops are one-sided or unlike, and each side has some hops of its own. In
ordinary stereo a voice is on both sides, nearly equal."""
ENOUGH_HOPS = 1200  # a minute of sound
LISTEN_BLOCKS = 1800  # at most half an hour, for a recording that begins with silence


@dataclass(frozen=True, slots=True)
class PlannedChannel:
    """A channel of the session, and the part of the recording that it gets."""

    channel: str
    label: str
    track: int
    side: int | None = None  # None: all sides of the track, mixed


@dataclass(frozen=True, slots=True)
class Probe:
    channels: tuple[PlannedChannel, ...]
    seconds: float | None  # by the header; None: it does not say


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    seconds_max: int
    channels_max: int


def check_readable(path: Path, name: str, seconds_max: int) -> float | None:
    """The length by the header, without decoding. Raises AudioFileError for a file that cannot be read."""
    tracks = tracks_of(path, name=name)
    refusal: AudioFileError | None = None
    for track in range(max(1, tracks)):
        try:
            with AudioFile(path, seconds_max, name=name, track=track) as opened:
                return opened.announced_s
        except AudioFileError as error:
            refusal = error
    assert refusal is not None, "there is at least one track"
    raise refusal


def probe(
    path: Path, name: str, mode: ChannelMode, limits: ProbeLimits, make_detector: Callable[[], Detector]
) -> Probe:
    """name: of the file, from its sender. Raises AudioFileError: see `AudioFile`; 422 too many channels."""
    if mode is ChannelMode.MIX:
        parts: list[tuple[int, int | None]] = [(_picked(path, name, limits, make_detector), None)]
    else:
        parts = _all_parts(path, name, mode, limits)
    if len(parts) > limits.channels_max:
        text = (
            f"the recording would become {len(parts)} channels, the limit is {limits.channels_max} "
            "(jobs.channels); ask for channels=mix"
        )
        raise AudioFileError("too_many_channels", text, 422)
    tracks = {track for track, _ in parts}
    channels = tuple(
        PlannedChannel(channel_id_of(number), _label(track, side, len(tracks) > 1), track, side)
        for number, (track, side) in enumerate(parts, start=1)
    )
    with AudioFile(path, limits.seconds_max, name=name, track=parts[0][0]) as opened:
        return Probe(channels, opened.announced_s)


def sides_differ(left: Float32Array, right: Float32Array) -> bool:
    """Whether two sides of a stereo track carry different speakers. (n,) float32 each."""
    hops = min(len(left), len(right)) // HOP
    a, b = left[: hops * HOP].reshape(hops, HOP), right[: hops * HOP].reshape(hops, HOP)
    power_a, power_b = (np.square(x).mean(axis=1, dtype=np.float64) + 1e-12 for x in (a, b))
    active = np.maximum(power_a, power_b) > ACTIVE_POWER
    if not active.any():
        return False
    only_a, only_b = power_a > ONE_SIDED * power_b, power_b > ONE_SIDED * power_a
    likeness = np.abs((a * b).mean(axis=1, dtype=np.float64)) / np.sqrt(power_a * power_b)
    is_separate = only_a | only_b | (likeness < UNLIKE)
    count = int(active.sum())
    return bool(
        (is_separate & active).sum() >= SEPARATE_SHARE * count
        and (only_a & active).sum() >= SIDE_SHARE * count
        and (only_b & active).sum() >= SIDE_SHARE * count
    )


def _all_parts(path: Path, name: str, mode: ChannelMode, limits: ProbeLimits) -> list[tuple[int, int | None]]:
    """(track, side) of every channel. Tracks that cannot be read are left out, unless none can be read."""
    parts: list[tuple[int, int | None]] = []
    refusal: AudioFileError | None = None
    for track in range(max(1, tracks_of(path, name=name))):
        try:
            with AudioFile(path, limits.seconds_max, name=name, track=track) as opened:
                sides = opened.sides
        except AudioFileError as error:
            logger.info("audio track %d is left out: %s", track, error)
            refusal = error
            continue
        is_split = sides > 1 and mode is ChannelMode.SPLIT
        if sides == 2 and mode is ChannelMode.AUTO:
            is_split = _listen(path, name, track, limits.seconds_max)
        parts += [(track, side) for side in range(sides)] if is_split else [(track, None)]
    if not parts and refusal is not None:
        raise refusal
    return parts


def _listen(path: Path, name: str, track: int, seconds_max: int) -> bool:
    """Decode the beginning of a stereo track: do its sides differ?"""
    held: tuple[list[Float32Array], list[Float32Array]] = ([], [])
    active = 0
    try:
        with (
            AudioFile(path, seconds_max, name=name, track=track, side=0) as one,
            AudioFile(path, seconds_max, name=name, track=track, side=1) as other,
        ):
            for number, (left, right) in enumerate(zip(one, other, strict=False)):
                loudest = max(float(np.square(left).mean()), float(np.square(right).mean()))
                if loudest > ACTIVE_POWER / 4:
                    held[0].append(left)
                    held[1].append(right)
                    active += len(left) // HOP
                if active >= ENOUGH_HOPS or number >= LISTEN_BLOCKS:
                    break
    except AudioFileError as error:
        logger.info("the sides of audio track %d cannot be compared: %s", track, error)
        return False
    return bool(held[0]) and sides_differ(np.concatenate(held[0]), np.concatenate(held[1]))


def _picked(path: Path, name: str, limits: ProbeLimits, make_detector: Callable[[], Detector]) -> int:
    picking = picked_track(path, limits.seconds_max, make_detector, name=name)
    while True:
        try:
            next(picking)
        except StopIteration as picked:
            return int(picked.value)


def _label(track: int, side: int | None, has_tracks: bool) -> str:
    sides = {0: "left", 1: "right"}
    parts = [f"track {track + 1}"] if has_tracks else []
    if side is not None:
        parts.append(sides.get(side, f"side {side + 1}"))
    return ", ".join(parts) or "recording"
