"""Malformed WebSocket handshakes and frames: first bytes, lengths, masks, opcodes, texts, closes.

Pure, like `http_mutations`.
"""

from __future__ import annotations

import json
import random
import struct
import zlib

from bench.http_body_mutations import odd_json
from bench.http_requests import Spoilt, Target

Chance = random.Random
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MESSAGES = (
    '{"type": "stop"}',
    '{"type": "keepalive"}',
    '{"type": "at", "start_ms": 1e999}',
    json.dumps({"type": "x" * 5000}),
)
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def spoilt_socket(target: Target, chance: Chance) -> Spoilt:
    """A handshake, mostly valid, and frames, mostly malformed; or a whole conversation with one error."""
    path, first = chance.choice(target.sockets)
    token = chance.choice(target.tokens)
    hello = _handshake(target, path, token, chance)
    frames = [_first_frame(first, chance)]
    for _ in range(chance.randint(0, 6)):
        frames.append(_odd_frame(first, chance))
    if chance.random() < 0.3:
        frames.append(frame(CLOSE, struct.pack(">H", 1000)))
    pieces = [hello, *frames]
    if chance.random() < 0.2:
        data = b"".join(frames)
        pieces = [hello, *(data[at : at + 1] for at in range(min(len(data), 60))), data[60:]]
    return Spoilt(
        "WebSocket",
        pieces,
        is_socket=True,
        half_close=chance.random() < 0.1,
        with_head=hello.startswith(b"HEAD"),
    )


def _handshake(target: Target, path: str, token: str, chance: Chance) -> bytes:
    fields = {
        "Host": target.host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    if token:
        fields["Authorization"] = f"Bearer {token}"
    if chance.random() < 0.15:
        name = chance.choice(tuple(fields))
        fields[name] = chance.choice(("", "x", "\x7f", "8, 13", "a" * 500, "-1", "h2c"))
    if chance.random() < 0.2:
        fields["Sec-WebSocket-Extensions"] = chance.choice(
            (
                "permessage-deflate",
                "permessage-deflate; client_max_window_bits=99",
                "permessage-deflate; server_max_window_bits=8; x=y",
                "permessage-deflate" + ", permessage-deflate" * 200,
                ";;;=,",
            )
        )
    if chance.random() < 0.1:
        fields["Sec-WebSocket-Protocol"] = chance.choice(("x", ",,,", "a" * 3000, "\x7f"))
    method = "GET" if chance.random() < 0.97 else chance.choice(("POST", "HEAD", "PUT"))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode()


def frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """One frame. length: a false length, written as a 64-bit number, in place of the true one."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit = 0x80 if masked else 0
    if length is not None:
        head = struct.pack(">BBQ", first, bit | 127, length % 2**64)
    elif len(payload) < 126:
        head = struct.pack(">BB", first, bit | len(payload))
    elif len(payload) < 65_536:
        head = struct.pack(">BBH", first, bit | 126, len(payload))
    else:
        head = struct.pack(">BBQ", first, bit | 127, len(payload))
    return head + (bytes(4) + payload if masked else payload)


def _first_frame(first: str, chance: Chance) -> bytes:
    if not first:
        return _odd_frame("{}", chance)
    draw = chance.random()
    if draw < 0.5:
        return frame(TEXT, first.encode())
    if draw < 0.8:
        return frame(TEXT, odd_json(first, chance).encode("utf-8", "surrogatepass"))
    return _odd_frame(first, chance)


def _odd_frame(first: str, chance: Chance) -> bytes:
    text = first.encode() or b"{}"
    binary = chance.randbytes(chance.choice((0, 1, 2, 3, 640, 1920, 3841)))
    control = chance.choice((PING, PONG, CLOSE))
    match chance.randrange(20):
        case 0:
            return frame(TEXT, text)
        case 1:
            return frame(BINARY, binary)
        case 2:
            return frame(BINARY, binary) * chance.randint(2, 50)
        case 3:
            return frame(TEXT, chance.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf0\x9f")))
        case 4:
            return frame(TEXT, text, masked=False)
        case 5:
            return frame(TEXT, text, reserved=chance.randint(1, 7))
        case 6:
            return frame(chance.choice((3, 4, 7, 11, 15)), text)
        case 7:
            return frame(control, bytes(chance.choice((126, 5000))))
        case 8:
            return frame(control, b"", fin=False)
        case 9:
            return frame(CONTINUATION, text)
        case 10:
            return frame(TEXT, text, fin=False) + frame(TEXT, text)
        case 11:
            return frame(TEXT, text, fin=False) + frame(CONTINUATION, b"\xff")
        case 12:
            return frame(TEXT, b"[", fin=False) + frame(CONTINUATION, b"[", fin=False) * 500
        case 13:
            return frame(BINARY, binary, length=chance.choice((0, 5, 2**31, 2**63 - 1, 2**63, 2**64 - 1)))
        case 14:
            code = chance.choice((0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 3000, 5000, 65535))
            return frame(CLOSE, struct.pack(">H", code) + chance.choice((b"", b"\xff", b"bye")))
        case 15:
            return frame(CLOSE, chance.choice((b"", b"\x03")))
        case 16:
            return frame(PING, b"x" * 125) * chance.choice((5, 300))
        case 17:
            return frame(TEXT, zlib.compress(bytes(1 << 20)), reserved=4)
        case 18:
            message = chance.choice(
                ('{"type": "stop"}', '{"type": "keepalive"}', '{"type": "at", "start_ms": 1e999}')
            )
            return frame(
                TEXT,
                chance.choice((message, odd_json(message, chance), json.dumps({"type": "x" * 5000}))).encode(
                    "utf-8", "surrogatepass"
                ),
            )
        case _:
            return chance.randbytes(chance.randint(1, 300))
