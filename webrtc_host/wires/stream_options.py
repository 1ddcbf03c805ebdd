"""The parameters of a stream of the conversation API: from the address, the first message, or both. Pure.

Clients name the same thing in different ways, so several names are read for each parameter, and MIME types
for the format. Unknown parameters are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from host_stt.contract import RequestError
from host_stt_common.languages import HOW, read_language
from webrtc_host.media.encodings import SNIFF_BYTES, AudioFormat, Container, Encoding, sniffed

RATE_DEFAULT = 16_000
"""Hz, of PCM whose client names no rate."""
RATE_MIN, RATE_MAX = 8_000, 48_000
CHANNELS_MAX = 8
LABEL_CHARS_MAX = 64
NAME_CHARS_MAX = 64
SHOWN_CHARS = 40
FORMAT = ("format", "encoding", "codec", "audio_format", "mimeType", "mime_type")
RATE = ("sample_rate", "sampleRate", "rate")
_RAW = {
    Encoding.S16: ("pcm", "raw", "pcm16", "pcm_16", "pcm_s16le", "s16le", "s16", "int16", "linear16", "l16"),
    Encoding.F32: ("pcm_f32le", "f32le", "f32", "float32"),
    Encoding.ULAW: ("mulaw", "ulaw", "pcmu", "pcm_mulaw"),
    Encoding.ALAW: ("alaw", "pcma", "pcm_alaw"),
}
FORMATS: dict[str, Encoding | Container] = {
    **{name: encoding for encoding, names in _RAW.items() for name in names},
    "opus": Encoding.OPUS,
    "ogg_opus": Container.OGG,
    "ogg-opus": Container.OGG,
    "x-wav": Container.WAV,
    "m4a": Container.MP4,
    "mpeg": Container.MP3,
    "auto": Container.ANY,
    **{container.value: container for container in Container if container is not Container.ANY},
}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """format: Container.ANY when the first bytes of the audio decide."""

    format: AudioFormat
    session: str | None = None
    channel: str | None = None
    label: str | None = None
    language: str | None = None

    @property
    def needs_audio(self) -> bool:
        """Whether the format is known only with the first audio: an Opus packet may be an Ogg file too."""
        return self.format.encoding in (Encoding.OPUS, Container.ANY)


def options_of(fields: Mapping[str, object], language: str) -> StreamOptions:
    """language: of a stream that names none. Raises RequestError 422."""
    encoding = _encoding(_text(fields, *FORMAT))
    return StreamOptions(
        AudioFormat(
            encoding,
            _whole(fields, RATE, RATE_MIN, RATE_MAX, RATE_DEFAULT),
            _whole(fields, ("channels",), 1, CHANNELS_MAX, 1),
        ),
        session=_text(fields, "session") or None,
        channel=_text(fields, "channel") or None,
        label=_label(_text(fields, "label")),
        language=_language(_text(fields, "language", "lang") or language),
    )


def format_of(audio: AudioFormat, head: bytes) -> AudioFormat:
    """The format of audio that begins with these bytes.

    Raw PCM has no mark, so audio without a known beginning is refused unless its format was named.
    """
    if audio.encoding not in (Encoding.OPUS, Container.ANY):
        return audio
    found = sniffed(head)
    if found in (Container.OGG, Container.WEBM) or (found and audio.encoding is Container.ANY):
        return AudioFormat(found)
    if audio.encoding is Container.ANY and len(head) >= SNIFF_BYTES:
        raise RequestError(
            "unknown_format",
            f"the audio begins with the bytes {head[:8].hex(' ')}, like no WebM, Ogg or other known file; "
            "name its format in the address or in the first message, such as ?format=pcm&sample_rate=16000",
            415,
        )
    return audio


def _encoding(name: str) -> Encoding | Container:
    """A name such as `webm`, or a MIME type such as `audio/webm;codecs=opus`."""
    plain = name.lower().partition(";")[0].strip().removeprefix("audio/").removeprefix("video/")
    if not plain:
        return Container.ANY
    if plain not in FORMATS:
        known = "opus, webm, ogg, pcm, pcm_f32le, mulaw, alaw, wav, mp3, mp4, flac, aac, amr, auto"
        raise RequestError("bad_field", f"`format` {name[:SHOWN_CHARS]!r} is none of {known}", 422)
    return FORMATS[plain]


def _text(fields: Mapping[str, object], *names: str) -> str:
    for name in names:
        value = fields.get(name)
        if value is None or value == "":
            continue
        if not isinstance(value, str) or len(value) > NAME_CHARS_MAX:
            raise RequestError(
                "bad_field", f"`{name}` must be text of at most {NAME_CHARS_MAX} characters", 422
            )
        return value.strip()
    return ""


def _whole(fields: Mapping[str, object], names: tuple[str, ...], low: int, high: int, default: int) -> int:
    for name in names:
        value = fields.get(name)
        if value is None or value == "":
            continue
        text = str(value)
        is_whole = not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) < 9
        if not is_whole or not low <= int(text) <= high:
            shown = text[:SHOWN_CHARS]
            raise RequestError(
                "bad_field", f"`{name}` is a whole number from {low} to {high}, not {shown!r}", 422
            )
        return int(text)
    return default


def _language(text: str) -> str:
    code = read_language(text)
    if code is None:
        raise RequestError("unknown_language", f"`language` {text[:SHOWN_CHARS]!r} is not known; {HOW}", 422)
    return code


def _label(text: str) -> str | None:
    label = " ".join(text.split())
    if not label.isprintable():
        raise RequestError("bad_name", "`label` has characters that cannot be printed", 422)
    return label[:LABEL_CHARS_MAX] or None
