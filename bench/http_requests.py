"""Valid requests of a port as bytes: what the mutations start from. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

Chance = random.Random


@dataclass(frozen=True, slots=True)
class Target:
    """The valid requests of one port. tokens: of every role, and the empty token."""

    host: str
    tokens: Sequence[str]
    gets: Sequence[str]  # paths
    json_posts: Sequence[tuple[str, str, str]]  # method, path, body
    form_posts: Sequence[tuple[str, dict[str, str]]]  # path, text fields; a file is added
    sockets: Sequence[tuple[str, str]]  # path, first message
    file_field: str = "file"
    file: bytes = b""


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A request, in the pieces in which it is sent. with_head: a response to it may have no body."""

    kind: str
    pieces: list[bytes]
    is_socket: bool = False
    half_close: bool = True  # close the sending side of the connection
    with_head: bool = False

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


def request(
    target: Target,
    method: str,
    path: str,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    token: str = "",
    close: bool = True,
) -> bytes:
    fields = [("Host", target.host), *headers]
    if token:
        fields.append(("Authorization", f"Bearer {token}"))
    if body:
        fields.append(("Content-Length", str(len(body))))
    if close:
        fields.append(("Connection", "close"))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogatepass") + body


def good(target: Target, chance: Chance, *, close: bool = True) -> bytes:
    """A valid request of any kind and role."""
    token = chance.choice(target.tokens)
    draw = chance.random()
    if draw < 0.5:
        method = chance.choice(("GET", "GET", "GET", "HEAD", "OPTIONS"))
        return request(target, method, chance.choice(target.gets), token=token, close=close)
    if draw < 0.75 and target.json_posts:
        method, path, text = chance.choice(target.json_posts)
        headers = [("Content-Type", "application/json")]
        return request(target, method, path, headers=headers, body=text.encode(), token=token, close=close)
    path, fields = chance.choice(target.form_posts)
    body = form(target, fields, "xBOUNDARYx")
    headers = [("Content-Type", "multipart/form-data; boundary=xBOUNDARYx")]
    return request(target, "POST", path, headers=headers, body=body, token=token, close=close)


def form(target: Target, fields: dict[str, str], boundary: str) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    disposition = f'form-data; name="{target.file_field}"; filename="a.wav"'
    head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: audio/wav\r\n\r\n"
    return b"".join([*parts, head.encode(), target.file, f"\r\n--{boundary}--\r\n".encode()])
