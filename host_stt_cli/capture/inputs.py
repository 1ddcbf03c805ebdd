"""What to capture, as the options say it. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from host_stt_cli.errors import StartError
from host_stt_common.channel_ids import is_channel_id

INPUTS_MAX = 64
"""As many as the server has channels in a session, by default."""
CARD_INPUTS_MAX = 16
SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class MediaInput:
    """A file or a URL. source: the path or the URL, which may contain a password."""

    channel: str
    source: str

    @property
    def is_url(self) -> bool:
        return _SCHEME.match(self.source) is not None

    @property
    def name(self) -> str:
        """For people: a URL without its user, its password and its query."""
        if not self.is_url:
            return self.source
        parts = urlsplit(self.source)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True)
class CardInput:
    """One input of a sound card. number: from 1, as it is written on the card."""

    channel: str
    number: int


def media_input_of(text: str) -> MediaInput:
    """`C01=FILE` or `C01=URL`. Raises StartError."""
    channel, equals, source = text.partition("=")
    if not equals or not source:
        raise StartError(f"--input {_hidden(text)} is not CHANNEL=FILE or CHANNEL=URL")
    _check_channel(channel, "--input")
    made = MediaInput(channel, source)
    if made.is_url:
        scheme, host = _parts(made)
        if scheme not in SCHEMES:
            known = ", ".join(SCHEMES)
            raise StartError(f"--input {channel}: URLs of {scheme}:// cannot be read; these can: {known}.")
        if not host and scheme not in ("udp", "rtp"):
            raise StartError(f"--input {channel}: the URL has no host.")
    return made


def card_inputs_of(text: str) -> tuple[CardInput, ...]:
    """`1=C03,2=C04`: the inputs of the card and their channels. Raises StartError."""
    made = []
    for entry in text.split(","):
        number, equals, channel = entry.strip().partition("=")
        if not equals or not (number.isascii() and number.isdigit() and 1 <= int(number[:4]) <= 256):
            raise StartError(f"--map {entry.strip()[:40]!r} is not INPUT=CHANNEL, such as 1=C03.")
        _check_channel(channel, "--map")
        made.append(CardInput(channel, int(number)))
    if len(made) > CARD_INPUTS_MAX:
        raise StartError(f"--map names {len(made)} inputs; {CARD_INPUTS_MAX} of a sound card are possible.")
    if again := _twice(one.number for one in made):
        raise StartError(f"--map names input {again} twice.")
    return tuple(made)


def check_channels(media: Iterable[MediaInput], card: Iterable[CardInput]) -> None:
    """Raises StartError when there is no input, too many, or two of one channel."""
    channels = [*(one.channel for one in media), *(one.channel for one in card)]
    if not channels:
        raise StartError("there is nothing to capture: give --input CHANNEL=FILE, or --device and --map.")
    if len(channels) > INPUTS_MAX:
        raise StartError(f"there are {len(channels)} inputs; {INPUTS_MAX} are possible.")
    if again := _twice(channels):
        raise StartError(f"{again} has two inputs; a channel has one.")


def _check_channel(channel: str, where: str) -> None:
    if not is_channel_id(channel):
        raise StartError(f"{where}: a channel is C01, C02, ..., not {channel[:20]!r}.")


def _parts(made: MediaInput) -> tuple[str, str]:
    try:
        parts = urlsplit(made.source)
        return parts.scheme.lower(), parts.netloc
    except ValueError as error:
        raise StartError(f"--input {made.channel}: this is not a URL.") from error


def _hidden(text: str) -> str:
    """The text as far as it cannot contain a password."""
    return repr(text[:40]) if "@" not in text else "with a password"


def _twice(items: Iterable[str | int]) -> str | int | None:
    """The first item that is there twice."""
    return next((item for item, count in Counter(items).items() if count > 1), None)
