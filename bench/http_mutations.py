"""Malformed requests as bytes: heads, bodies and forms broken as attackers and faulty programs break them.

Pure: a random number generator in, bytes out; the same seed gives the same bytes. `http_fuzz` sends and
judges; `socket_mutations` makes WebSocket frames.
"""

from __future__ import annotations

import gzip
import json
import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

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
    pauses_ms: tuple[float, ...] = field(default=())

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


def spoilt(target: Target, chance: Chance) -> Spoilt:
    """One request of a random kind."""
    kind = chance.choice(tuple(KINDS))
    made = KINDS[kind](target, chance)
    pieces = made if isinstance(made, list) else [made]
    data = b"".join(pieces)
    return Spoilt(kind, pieces, half_close=chance.random() < 0.1, with_head=b"HEAD " in data)


# --- good requests ------------------------------------------------------------------------------------


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


# --- heads --------------------------------------------------------------------------------------------


def split_anywhere(target: Target, chance: Chance) -> list[bytes]:
    data = good(target, chance)
    cuts = sorted(chance.randrange(len(data)) for _ in range(chance.randint(1, 20)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def cut_off(target: Target, chance: Chance) -> bytes:
    data = good(target, chance)
    return data[: chance.randrange(len(data))]


def flipped(target: Target, chance: Chance) -> bytes:
    """A few bytes changed, removed or doubled, mostly in the head."""
    data = bytearray(good(target, chance))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(min(len(data), 600))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 40)]
            case _:
                data[at:at] = chance.choice((b"\0", b"\r", b"\n", b"\r\n", b"\xff", b" ", b":", b"%"))
    return bytes(data)


def oversized(target: Target, chance: Chance) -> bytes:
    size = chance.choice((8000, 8190, 8191, 9000, 33_000, 200_000, 2_000_000))
    match chance.randrange(5):
        case 0:
            return request(target, "GET", "/api/sessions?q=" + "a" * size)
        case 1:
            return request(target, "GET", "/ready", headers=[("X-Long", "a" * size)])
        case 2:
            return request(target, "GET", "/ready", headers=[("X" * size, "a")])
        case 3:
            many = [(f"X-{n}", "a" * 40) for n in range(size // 50)]
            return request(target, "GET", "/ready", headers=many)
        case _:
            return b"A" * size + b" / HTTP/1.1\r\n\r\n"


TARGETS = (
    "http://{host}/ready",
    "HTTP://other.example/ready",
    "https://{host}:99999/",
    "http:///ready",
    "http://[::1/ready",
    "http://[zz]/ready",
    "{host}",
    "*",
    "",
    "ready",
    "?",
    "#x",
    "/ready#x",
    "//",
    "///ready",
    "/%",
    "/%zz",
    "/%2",
    "/%00",
    "/ready%00",
    "/%ff%fe",
    "/%c0%af",
    "/%ed%a0%80",
    "/..",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2fetc%2fpasswd",
    "/\\..\\",
    "/ready;x=1",
    "/api/sessions/%0d%0aX:y",
    "/api/sessions/" + "a/" * 300,
    "/api/sessions/..%2f..",
    "/api/sessions/\x7f",
    "/api/sessions/한국어",
    "/api/search?q=%",
    "/api/search?q=%00",
    "/api/search?q=%ff",
    "/api/search?q=" + "%22" * 400,
    "/api/search?q=" + "(" * 900,
    "/api/search?q=" + "%F0%9F%98%80" * 200,
    "/api/search?q=a&q=b&limit=1&limit=2",
    "/api/search?q=a&limit=99999999999999999999999",
    "/api/search?q=a&limit=" + "9" * 5000,
    "/api/search?q=a&limit=-1",
    "/api/search?q=a&limit=1e3",
    "/api/search?q=a&limit=%D9%A3",
    "/api/search?q=a&from_ms=NaN",
    "/api/search?" + "&".join(f"k{n}=v" for n in range(2000)),
    "/api/sessions?before=%00&limit=0",
    "/api/audit?before=zzz",
    "/api/glossary/prompt?channel=C99",
    "/api/segments/%2f/audio?lead_ms=-1",
    "/api/segments/" + "9" * 400 + "/audio",
    "/events?since=-1",
    "/events?since=" + "9" * 400,
    "/events?channels=" + "C01," * 2000,
    "/ws?since=x",
    "/v1/models/%ff%00",
    "/v1/models/" + "x" * 4000,
    "/ready?token=%ff",
    "/ready?token=%00",
    "/ready?token=é",
)


def odd_target(target: Target, chance: Chance) -> bytes:
    path = chance.choice(TARGETS).replace("{host}", target.host)
    method = chance.choice(("GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
    return request(target, method, path, token=chance.choice(target.tokens))


def odd_line(target: Target, chance: Chance) -> bytes:
    """Invalid request lines, or lines of another protocol."""
    line = chance.choice(
        (
            b"",
            b"\r\n\r\n\r\nGET / HTTP/1.1",
            b"GET",
            b"GET /",
            b"GET  /  HTTP/1.1",
            b"GET\t/\tHTTP/1.1",
            b"get / HTTP/1.1",
            b"G\x00T / HTTP/1.1",
            b"GET / HTTP/1.1 x",
            b"GET / HTTP/0.9",
            b"GET / HTTP/1.0",
            b"GET / HTTP/1.2",
            b"GET / HTTP/2.0",
            b"GET / HTTP/9999999999999.1",
            b"GET / HTTP/1",
            b"GET / HTCPCP/1.0",
            b"GET /\xff\xfe HTTP/1.1",
            b"M" * 300 + b" / HTTP/1.1",
            b"TRACE / HTTP/1.1",
            b"CONNECT " + target.host.encode() + b" HTTP/1.1",
            b"PRI * HTTP/2.0",
            b"OPTIONS * HTTP/1.1",
            b"HTTP/1.1 200 OK",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
            b"SSH-2.0-OpenSSH_9.2",
            b"\x00\x01\x00\x08\x21\x12\xa4\x42" + bytes(20),
            "GET / HTTP/1.1".encode("utf-16"),
        )
    )
    end = chance.choice((b"\r\n", b"\r\n", b"\n", b"\r", b""))
    return line + end + b"Host: " + target.host.encode() + end + end


HEADERS = (
    b"X: a\0b",
    b"X: a\rb",
    b"X: a\nb",
    b"X:",
    b"X",
    b": x",
    b" X: folded",
    b"X: a\r\n folded",
    b"X : space",
    b"X\0: nul",
    b"X\xff: y",
    b"X: \xff\xfe\x80",
    b"Host: other.example",
    b"Host: \xff",
    b"Host: [::1",
    b"Host: a b",
    b"Host:",
    b"Authorization: Bearer",
    b"Authorization: Bearer \xff\xfe",
    b"Authorization: Basic \xff",
    b"Authorization: Bearer a b c",
    b"Authorization: " + b"B" * 4000,
    b"Cookie: \xff=\xff; a=b; ;;;",
    b"Origin: null",
    b"Origin: http://[",
    b"Origin: \xff",
    b"Sec-Fetch-Site: \xff",
    b"Range: bytes=9-1",
    b"Range: bytes=-",
    b"Range: bytes=0-,1-,2-,3-",
    b"Range: bytes=" + b"9" * 400 + b"-",
    b"Range: lines=1",
    b"If-None-Match: \xff",
    b"If-Modified-Since: Thu, 99 Foo 0000 99:99:99 GMT",
    b"If-Modified-Since: " + b"9" * 300,
    b"If-Range: \xff",
    b"Expect: 100-continue",
    b"Expect: a miracle",
    b"Last-Event-ID: \xff",
    b"Last-Event-ID: -1",
    b"Last-Event-ID: " + b"9" * 400,
    b"Accept: " + b"*/*," * 900,
    b"Accept-Language: \xff;q=2",
    b"Accept-Encoding: gzip;q=nan",
    b"X-Forwarded-For: \xff, 1.2.3.4.5, ::g",
    b"X-Forwarded-For: " + b"1.1.1.1," * 500,
    b"X-Forwarded-Proto: \0",
    b'Forwarded: for="[::1"',
    b"Upgrade: websocket",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \xff",
    b"Connection: upgrade",
    b"Connection: keep-alive, close, \xff",
    b"Transfer-Encoding: gzip",
    b"Content-Encoding: gzip",
    b"Trailer: X",
    b"TE: trailers",
)


def odd_header(target: Target, chance: Chance) -> bytes:
    head, _, body = good(target, chance).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    for _ in range(chance.randint(1, 3)):
        lines.insert(chance.randint(1, len(lines)), chance.choice(HEADERS))
    if chance.random() < 0.1:
        lines = [line for line in lines if not line.startswith(b"Host")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def http2(target: Target, chance: Chance) -> bytes:
    settings = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings
    junk = chance.randbytes(chance.randint(0, 300))
    return chance.choice((preface, preface + junk, preface[: chance.randint(1, len(preface))], junk))


def pipelined(target: Target, chance: Chance) -> bytes:
    some = [good(target, chance, close=False) for _ in range(chance.randint(2, 12))]
    if chance.random() < 0.6:
        some.insert(chance.randint(0, len(some)), flipped(target, chance))
    return b"".join([*some, good(target, chance)])


def noise(target: Target, chance: Chance) -> bytes:
    return chance.randbytes(chance.randint(1, 5000))


# --- bodies -------------------------------------------------------------------------------------------


def _post(target: Target, chance: Chance) -> tuple[str, str, str, bytes]:
    """Method, path, content type and body of a request with a body."""
    if target.json_posts and chance.random() < 0.6:
        method, path, text = chance.choice(target.json_posts)
        return method, path, "application/json", text.encode()
    path, fields = chance.choice(target.form_posts)
    return "POST", path, "multipart/form-data; boundary=b", form(target, fields, "b")


def bad_chunks(target: Target, chance: Chance) -> bytes:
    method, path, kind, body = _post(target, chance)
    headers = [("Content-Type", kind), ("Transfer-Encoding", chance.choice(("chunked",) * 6 + CODINGS))]
    head = request(target, method, path, headers=headers, token=chance.choice(target.tokens))
    good_chunk = b"%x\r\n%s\r\n" % (len(body), body)
    end = b"0\r\n\r\n"
    spoiled = chance.choice(
        (
            good_chunk + end,
            good_chunk,
            good_chunk + b"0\r\nX: y\r\nTrailer\r\n\r\n",
            good_chunk + b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
            b"zz\r\n" + body + end,
            b"-5\r\n" + body + end,
            b"+5\r\n" + body + end,
            b"0x5\r\n" + body + end,
            b"5_0\r\n" + body + end,
            b"\r\n" + body + end,
            b"fffffffffffffffff\r\n" + body + end,
            b"ffffffff\r\n" + body,
            b"%x;ext=\xff\0\r\n%s\r\n" % (len(body), body) + end,
            b"%x;%s\r\n%s\r\n" % (len(body), b"a" * 20_000, body) + end,
            b"%x\n%s\n0\n\n" % (len(body), body),
            b"%x\r\n%sXX" % (len(body), body) + end,
            b"1\r\na\r\n" * 2000 + end,
            b"\0" + end,
        )
    )
    return head + spoiled


CODINGS = ("gzip, chunked", "chunked, chunked", "identity", "chunked, gzip", "CHUNKED", "chunked\x0b", "x")


def bad_length(target: Target, chance: Chance) -> bytes:
    method, path, kind, body = _post(target, chance)
    size = str(len(body))
    value = chance.choice(
        (
            "-1",
            "+" + size,
            f"{size}, {size}",
            f"{size},5",
            "0x10",
            "1_0",
            "9" * 30,
            "9" * 5000,
            "99999999999",
            "",
            " ",
            "a",
            "1e2",
            "٣",
            size + ".0",
            str(len(body) - 1),
            str(len(body) + 1),
            str(len(body) + 100_000),
            "0",
        )
    )
    headers = [("Content-Type", kind), ("Content-Length", value)]
    if chance.random() < 0.3:
        headers.append(chance.choice((("Content-Length", size), ("Transfer-Encoding", "chunked"))))
    return request(target, method, path, headers=headers, token=chance.choice(target.tokens)) + body


def compressed(target: Target, chance: Chance) -> bytes:
    method, path, kind, body = _post(target, chance)
    coding = chance.choice(("gzip", "deflate", "br", "zstd", "identity", "x", "\x7f", "gzip, gzip"))
    data = chance.choice(
        (gzip.compress(body, mtime=0), gzip.compress(bytes(1 << 20), mtime=0), body, b"\x1f\x8b", b"x")
    )
    headers = [("Content-Type", kind), ("Content-Encoding", coding)]
    return request(target, method, path, headers=headers, body=data, token=chance.choice(target.tokens))


CHARSETS = (
    "utf-8",
    "utf-16",
    "latin-1",
    "utf-7",
    "no-such",
    "",
    "\x7f",
    "base64",
    "idna",
    "rot13",
    "undefined",
)


def odd_text(target: Target, chance: Chance) -> bytes:
    """JSON bodies in a wrong encoding, of a wrong shape, or with numbers beyond all limits."""
    if not target.json_posts:
        return odd_form(target, chance)
    method, path, text = chance.choice(target.json_posts)
    body = chance.choice(
        (
            lambda: text.encode("utf-16"),
            lambda: b"\xef\xbb\xbf" + text.encode(),
            lambda: b"\xff\xfe" + text.encode(),
            lambda: text.encode()[: chance.randrange(len(text) + 1)],
            lambda: b"[" * chance.choice((100, 20_000, 200_000)),
            lambda: b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
            lambda: b'{"a":' + b"9" * chance.choice((400, 5000)) + b"}",
            lambda: b'{"sdp": 1e999, "type": NaN, "channels": Infinity}',
            lambda: b'"\\ud800"',
            lambda: b"null",
            lambda: b"[]",
            lambda: b"0",
            lambda: b"\0",
            lambda: odd_json(text, chance).encode("utf-8", "surrogatepass"),
            lambda: odd_json(text, chance).encode("utf-8", "surrogatepass"),
            lambda: odd_json(text, chance).encode("utf-8", "surrogatepass"),
        )
    )()
    kind = chance.choice(
        ("application/json",) * 5 + ("text/plain", "x", "", "application/x-www-form-urlencoded")
    )
    if chance.random() < 0.4:
        kind += f"; charset={chance.choice(CHARSETS)}"
    headers = [("Content-Type", kind)]
    return request(target, method, path, headers=headers, body=body, token=chance.choice(target.tokens))


VALUES: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    2**31,
    2**53 + 1,
    2**64,
    10**400,
    1e308,
    "",
    " ",
    "\0",
    "\ud800",
    "\u202e",
    "a" * 10_000,
    "C01",
    "C99",
    "../x",
    [],
    [[]],
    {},
    {"a": {"b": []}},
    ["a"] * 3000,
    [None],
    [{"term": "a" * 500}] * 50,
)


def odd_json(text: str, chance: Chance) -> str:
    """The same JSON with changed values, names or levels."""
    value = json.loads(text)
    if not isinstance(value, dict) or chance.random() < 0.1:
        return json.dumps(chance.choice(VALUES))
    for _ in range(chance.randint(1, 3)):
        name = chance.choice([*value, "session", "channels", "resume", "language", "label", "x\0"])
        match chance.randrange(3):
            case 0:
                value.pop(name, None)
            case 1:
                value[name] = chance.choice(VALUES)
            case _:
                value[name] = {name: chance.choice(VALUES)}
    return json.dumps(value)


def odd_form(target: Target, chance: Chance) -> bytes:
    """A multipart form with a broken boundary, part head, encoding or end."""
    path, fields = chance.choice(target.form_posts)
    fields = dict(fields)
    if fields and chance.random() < 0.5:
        name = chance.choice([*fields, "x"])
        fields[name] = chance.choice(("", "\0", "9" * 5000, "-1", "nan", "inf", "1e999", "a" * 70_000, "한"))
    body = form(target, fields, "b")
    kind = chance.choice(
        ("multipart/form-data; boundary=b",) * 8
        + (
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary="b',
            "multipart/form-data; boundary=" + "b" * 300,
            "multipart/form-data; boundary=\x7f",
            "multipart/mixed; boundary=b",
            "multipart/; boundary=b",
            "multipart/form-data; charset=no-such; boundary=b",
            "application/x-www-form-urlencoded",
            "application/json",
            "",
        )
    )
    return request(
        target,
        "POST",
        path,
        headers=[("Content-Type", kind)],
        body=_broken_form(target, body, chance),
        token=chance.choice(target.tokens),
    )


PART_HEADS = (
    b"Content-Disposition: form-data",
    b'Content-Disposition: form-data; name=""',
    b"Content-Disposition: attachment",
    b"Content-Disposition: form-data; name*=no-such''%ff",
    b"Content-Disposition: form-data; name*=utf-8''%zz%ff",
    b'Content-Disposition: form-data; name="file"; filename*=x',
    b'Content-Disposition: form-data; name="file"; filename="../../\x00"',
    b'Content-Disposition: form-data; name="file"; filename="\xff\xfe"',
    b'Content-Disposition: form-data; name="\xff"',
    b'Content-Disposition: form-data; name="model',
    b"Content-Disposition: ;;;=",
    b"Content-Disposition",
    b": x",
    b"X: \xff\0",
    b"X: " + b"a" * 9000,
    b'Content-Disposition: form-data; name="_charset_"',
    b'Content-Disposition: form-data; name="lang"\r\nContent-Transfer-Encoding: base64',
    b'Content-Disposition: form-data; name="lang"\r\nContent-Transfer-Encoding: quoted-printable',
    b'Content-Disposition: form-data; name="lang"\r\nContent-Transfer-Encoding: x',
    b'Content-Disposition: form-data; name="lang"\r\nContent-Type: text/plain; charset=no-such',
    b'Content-Disposition: form-data; name="file"\r\nContent-Encoding: gzip',
    b'Content-Disposition: form-data; name="file"\r\nContent-Length: -5',
    b'Content-Disposition: form-data; name="file"\r\nContent-Length: 99999999999999999999999',
    b'Content-Disposition: form-data; name="file"\r\nContent-Length: x',
    b'Content-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed; boundary=c',
    b'Content-Disposition: form-data; name="a"\r\nContent-Type: multipart/mixed',
)


def _broken_form(target: Target, body: bytes, chance: Chance) -> bytes:
    part = (
        b"--b\r\n"
        + chance.choice(PART_HEADS)
        + b"\r\n\r\n"
        + chance.choice((b"x", b"=zz=", b"\xff", b""))
        + b"\r\n"
    )
    match chance.randrange(9):
        case 0:
            return body[: chance.randrange(len(body))]
        case 1:
            return body.replace(b"--b", chance.choice((b"--c", b"-b", b"b", b"--bb", b"\n--b")))
        case 2:
            return body.replace(b"\r\n", chance.choice((b"\n", b"\r", b"\r\n\r\n")))
        case 3:
            return (b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n' * 3000) + body
        case 4:
            return body[:-4] + chance.randbytes(50)
        case 5:
            return chance.randbytes(chance.randint(0, 3000))
        case _:
            return part * chance.randint(1, 3) + body


def odd_file(target: Target, chance: Chance) -> bytes:
    """A valid form whose file is not audio, or is cut or damaged audio."""
    path, fields = chance.choice(target.form_posts)
    file = bytearray(target.file)
    match chance.randrange(4):
        case 0:
            file = file[: chance.randrange(len(file) + 1)]
        case 1:
            for _ in range(20):
                file[chance.randrange(min(200, len(file)))] = chance.randrange(256)
        case 2:
            file = bytearray(chance.choice((b"ID3\4", b"OggS\0", b"fLaC", b"RIFF", b"\x1aE\xdf\xa3", b"")))
            file += chance.randbytes(chance.randint(0, 2000))
        case _:
            file[40:44] = struct.pack("<I", chance.choice((0, 1, 2**31, 2**32 - 1)))
    body = form(replace(target, file=bytes(file)), fields, "b")
    headers = [("Content-Type", "multipart/form-data; boundary=b")]
    return request(target, "POST", path, headers=headers, body=body, token=chance.choice(target.tokens))


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
