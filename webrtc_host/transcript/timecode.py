"""Timecodes for people: `mm:ss.mmm`, and from one hour on `hh:mm:ss.mmm`.

Pure. Programs use the integer milliseconds; this is only their text form.
"""

from __future__ import annotations

MS_PER_HOUR = 3_600_000


def timecode(ms: int) -> str:
    """The text form of milliseconds since t = 0, zero-padded; hours grow past two digits rather than wrap.

    Raises ValueError for a time before t = 0.
    """
    if ms < 0:
        raise ValueError(f"a timecode of {ms} ms lies before t = 0")
    seconds, milliseconds = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    if ms < MS_PER_HOUR:
        return f"{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
