"""Malformed bodies of requests as bytes: chunks, lengths, compression, JSON, forms and files. Pure."""

from __future__ import annotations

import gzip
import json
import struct
from dataclasses import replace

from bench.http_requests import Chance, Target, form, request


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
