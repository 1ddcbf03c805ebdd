"""Malformed requests as bytes, broken as attackers and faulty programs break them: all kinds in one table.

Pure: a random number generator in, bytes out; the same seed gives the same bytes. `http_fuzz` sends and
judges; `socket_mutations` makes WebSocket frames.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.http_body_mutations import bad_chunks, bad_length, compressed, odd_file, odd_form, odd_text
from bench.http_head_mutations import (
    cut_off,
    flipped,
    http2,
    noise,
    odd_header,
    odd_line,
    odd_target,
    oversized,
    pipelined,
    split_anywhere,
)
from bench.http_requests import Chance, Spoilt, Target


def spoilt(target: Target, chance: Chance) -> Spoilt:
    """One request of a random kind."""
    kind = chance.choice(tuple(KINDS))
    made = KINDS[kind](target, chance)
    pieces = made if isinstance(made, list) else [made]
    data = b"".join(pieces)
    return Spoilt(kind, pieces, half_close=chance.random() < 0.1, with_head=b"HEAD " in data)


KINDS: dict[str, Callable[[Target, Chance], bytes | list[bytes]]] = {
    "split anywhere": split_anywhere,
    "cut off": cut_off,
    "bytes changed": flipped,
    "oversized head": oversized,
    "odd target": odd_target,
    "odd request line": odd_line,
    "odd header": odd_header,
    "HTTP/2": http2,
    "pipelined": pipelined,
    "noise": noise,
    "bad chunks": bad_chunks,
    "bad length": bad_length,
    "compressed body": compressed,
    "odd text": odd_text,
    "odd form": odd_form,
    "odd file": odd_file,
}
