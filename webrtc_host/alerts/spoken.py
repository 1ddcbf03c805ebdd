"""When the words that a rule found were spoken: from the words of a final, or else from their place in it.
Pure."""

from __future__ import annotations

from webrtc_host.alerts.matching import Hit
from webrtc_host.events import SegmentFinal


def spoken_ms(final: SegmentFinal, hit: Hit) -> int:
    """The end of the last word of the hit, in milliseconds since t = 0."""
    at = 0
    end_ms: int | None = None
    for word in final.words:
        text = word.text.strip()
        found = final.text.find(text, at)
        if not text or found < 0:
            end_ms = None
            break  # the words are not those of the text
        at = found + len(text)
        if found < hit.end:
            end_ms = word.end_ms
    if end_ms is not None:
        return min(max(end_ms, final.start_ms), final.end_ms)
    share = hit.end / max(1, len(final.text))
    return final.start_ms + round((final.end_ms - final.start_ms) * min(1.0, share))
