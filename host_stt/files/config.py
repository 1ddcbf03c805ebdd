"""The limits for transcribing files. Everything that a caller can make large has a limit here."""

from __future__ import annotations

from dataclasses import dataclass

from host_stt.contract import SAMPLE_RATE, WINDOW_SAMPLES_MAX


@dataclass(frozen=True, slots=True)
class FilesConfig:
    """Checked when created: a window must fit the wire format, and every limit must be at least 1."""

    bytes_max: int = 1024**3  # 1 GiB: 12 h of 16 kHz 16-bit FLAC or 74 h of 32 kbit/s; OpenAI takes 25 MB
    seconds_max: int = 12 * 3600  # a night shift
    field_bytes_max: int = 64 * 1024  # all form fields together, without the file
    fields_max: int = 1_200  # a list of 1,000 key words is one field for each
    upload_stall_s: float = 30.0  # without a byte, after which an upload is ended
    jobs_max: int = 4  # files at the same time; each has a temporary file and a few windows
    in_flight: int = 8  # windows of one file in the engine at the same time, at most 2 MB each
    attempts: int = 2  # decodes of a window that fails
    retry_pause_s: float = 1.0
    keep_alive_s: float = 15.0  # interval of comments on a stream without other data
    window_samples: int = 28 * SAMPLE_RATE  # Whisper decodes 30 s; less, for a margin at both ends
    pause_samples: int = 2 * SAMPLE_RATE  # a pause this long always ends a window

    def __post_init__(self) -> None:
        if not SAMPLE_RATE <= self.window_samples <= WINDOW_SAMPLES_MAX:
            raise ValueError(f"window_samples must be between {SAMPLE_RATE} and {WINDOW_SAMPLES_MAX}")
        if min(self.bytes_max, self.seconds_max, self.jobs_max, self.in_flight, self.attempts) < 1:
            raise ValueError("bytes_max, seconds_max, jobs_max, in_flight and attempts must be at least 1")
