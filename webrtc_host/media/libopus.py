"""libopus through ctypes: decodes packets to 16 kHz float32, with repair and concealment; encodes as well.

This module finds the library (the copy in PyAV's wheel, else the system's), declares its functions, and frees
its objects. `opus.py` decides how a stream uses them.
Invariant: every buffer goes to the library with its exact length. A packet is untrusted data until decoded.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from functools import cache
from pathlib import Path

import av
import numpy as np

from host_stt.contract import SAMPLE_RATE, Float32Array

RATE = 48_000
"""Opus counts time at this rate, whatever rate it decodes to (RFC 7587)."""
PACKET_SAMPLES_MAX = SAMPLE_RATE * 120 // 1000
"""A packet lasts 120 ms at most (RFC 6716, section 3.2.5)."""
STEP_SAMPLES = SAMPLE_RATE // 400
"""Concealment and repair work in multiples of 2.5 ms."""
PACKET_BYTES_MAX = 4000
"""Size of the encoder's buffer; the libopus manual recommends this value."""

_VOIP = 2048
_SIGNAL_VOICE = 3001
_SET_BITRATE, _SET_BANDWIDTH_MAX, _SET_COMPLEXITY = 4002, 4004, 4010
_SET_FEC, _SET_LOSS_PERCENT, _SET_DTX, _SET_SIGNAL = 4012, 4014, 4016, 4024
_BANDWIDTH_WIDE = 1103  # audio up to 8 kHz: what `maxplaybackrate=16000` makes a sender use


class OpusError(ValueError):
    """A packet that libopus cannot read, or a library that cannot do what is needed; the text says which."""


@cache
def library() -> ctypes.PyDLL:
    """The loaded library. Raises OpusError when there is none.

    PyDLL keeps the interpreter lock during a call. A call takes 50 us; after releasing the lock, the event
    loop could wait up to 5 ms for another thread that computes.
    """
    paths = [*_in_wheel(), ctypes.util.find_library("opus")]
    for path in filter(None, paths):
        try:
            found = ctypes.PyDLL(path)
            _declare(found)
            return found
        except (OSError, AttributeError):
            continue
    raise OpusError("no libopus was found, neither inside PyAV nor on the system; install libopus0")


def version() -> str:
    library().opus_get_version_string.restype = ctypes.c_char_p
    text: bytes = library().opus_get_version_string()
    return text.decode("ascii", "replace")


def _in_wheel() -> list[str]:
    """PyAV's wheels have libopus beside the package (Linux) or inside it (macOS)."""
    package = Path(av.__file__).parent
    return [
        str(path)
        for folder, name in ((package.parent / "av.libs", "libopus*.so*"), (package / ".dylibs", "libopus*"))
        for path in sorted(folder.glob(name))
    ]


def _declare(lib: ctypes.PyDLL) -> None:
    """Declare arguments and results of the functions used. AttributeError when the library lacks one."""
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    size, error = ctypes.c_int32, ctypes.POINTER(ctypes.c_int)
    for name, result, arguments in (
        ("opus_decoder_create", pointer, [size, integer, error]),
        ("opus_decoder_destroy", None, [pointer]),
        ("opus_decode_float", integer, [pointer, text, size, pointer, integer, integer]),
        ("opus_encoder_create", pointer, [size, integer, integer, error]),
        ("opus_encoder_destroy", None, [pointer]),
        ("opus_encode_float", size, [pointer, pointer, integer, text, size]),
        ("opus_encoder_ctl", integer, None),
    ):
        function = getattr(lib, name)
        function.restype = result
        if arguments is not None:
            function.argtypes = arguments
    if hasattr(lib, "opus_packet_has_lbrr"):  # since 1.5
        lib.opus_packet_has_lbrr.argtypes = [text, size]


def has_repair(payload: bytes) -> bool:
    """True when the packet carries a copy of the one before it (in-band FEC)."""
    lib = library()
    return (
        len(payload) > 1
        and hasattr(lib, "opus_packet_has_lbrr")
        and int(lib.opus_packet_has_lbrr(payload, len(payload))) > 0
    )


class LibopusDecoder:
    """The decoder of one stream. Use it in one thread at a time. All results are (channels, n) float32."""

    def __init__(self, channels: int = 2) -> None:
        """channels: 1 or 2, whatever the packets hold. Mono is doubled for 2; for 1, stereo becomes its mean.

        Raises OpusError when there is no library or no memory.
        """
        self._handle: int | None = None
        self._lib = library()
        error = ctypes.c_int()
        self._handle = self._lib.opus_decoder_create(SAMPLE_RATE, channels, ctypes.byref(error))
        if not self._handle or error.value != 0:
            raise OpusError(f"libopus cannot make a decoder for {SAMPLE_RATE} Hz (error {error.value})")
        self._decode = self._lib.opus_decode_float
        self._out = np.empty((PACKET_SAMPLES_MAX, channels), np.float32)
        self._address = self._out.ctypes.data

    def decode(self, payload: bytes) -> Float32Array:
        """(channels, n) of one packet. Raises OpusError when it cannot be read."""
        if not payload:
            raise OpusError("an Opus packet of 0 bytes")
        return self._run(payload, PACKET_SAMPLES_MAX, 0)

    def repair(self, next_payload: bytes, samples: int) -> Float32Array:
        """The lost packet before `next_payload`, from the copy in it. samples: how long it was."""
        return self._run(next_payload, _whole_steps(samples), 1)

    def conceal(self, samples: int) -> Float32Array:
        """At most `samples` of audio estimated for a gap."""
        return self._run(None, _whole_steps(samples), 0)

    def _run(self, payload: bytes | None, samples: int, use_repair: int) -> Float32Array:
        size = 0 if payload is None else len(payload)
        n = self._decode(self._handle, payload, size, self._address, samples, use_repair)
        if n < 0:
            raise OpusError(f"libopus cannot read a packet of {size} bytes (error {n})")
        samples_out: Float32Array = np.ascontiguousarray(self._out[:n].T)
        np.minimum(np.maximum(samples_out, -1.0, out=samples_out), 1.0, out=samples_out)
        return samples_out

    def __del__(self) -> None:
        if self._handle:
            self._lib.opus_decoder_destroy(self._handle)
            self._handle = None


class OpusEncoder:
    """16 kHz or 48 kHz mono float32 to packets: for the self-test, benchmarks, and archiving PCM audio."""

    def __init__(
        self,
        rate: int = SAMPLE_RATE,
        *,
        bitrate: int = 24_000,
        with_repair: bool = False,
        expected_loss_percent: int = 0,
        with_dtx: bool = False,
        is_wideband: bool = False,
        complexity: int = 9,
    ) -> None:
        """is_wideband: no audio above 8 kHz, like a sender that obeys `maxplaybackrate=16000`."""
        self._handle: int | None = None
        self._lib = library()
        error = ctypes.c_int()
        self._handle = self._lib.opus_encoder_create(rate, 1, _VOIP, ctypes.byref(error))
        if not self._handle or error.value != 0:
            raise OpusError(f"libopus cannot make an encoder for {rate} Hz (error {error.value})")
        self._out = ctypes.create_string_buffer(PACKET_BYTES_MAX)
        settings = [
            (_SET_BITRATE, bitrate),
            (_SET_COMPLEXITY, complexity),
            (_SET_FEC, int(with_repair)),
            (_SET_LOSS_PERCENT, expected_loss_percent),
            (_SET_DTX, int(with_dtx)),
            (_SET_SIGNAL, _SIGNAL_VOICE),
        ]
        if is_wideband:
            settings.append((_SET_BANDWIDTH_MAX, _BANDWIDTH_WIDE))
        for request, value in settings:
            code = self._lib.opus_encoder_ctl(
                ctypes.c_void_p(self._handle), ctypes.c_int(request), ctypes.c_int32(value)
            )
            if code != 0:
                raise OpusError(f"libopus rejects encoder setting {request} = {value} (error {code})")

    def encode(self, samples: Float32Array) -> bytes:
        """One packet. samples: (n,) of 2.5, 5, 10, 20, 40 or 60 ms; OpusError for other lengths."""
        pcm = np.ascontiguousarray(samples, np.float32)
        n = self._lib.opus_encode_float(self._handle, pcm.ctypes.data, len(pcm), self._out, PACKET_BYTES_MAX)
        if n < 0:
            raise OpusError(f"libopus cannot encode {len(pcm)} samples in one packet (error {n})")
        return self._out.raw[:n]

    def __del__(self) -> None:
        if self._handle:
            self._lib.opus_encoder_destroy(self._handle)
            self._handle = None


def _whole_steps(samples: int) -> int:
    return min(samples - samples % STEP_SAMPLES, PACKET_SAMPLES_MAX)
