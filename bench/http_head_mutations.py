"""Malformed heads of requests as bytes: targets, request lines, header fields, framing and noise. Pure."""

from __future__ import annotations

from bench.http_requests import Chance, Target, good, request


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
