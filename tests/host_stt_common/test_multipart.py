"""Forms are read the same wherever their bodies are cut, and broken ones are refused in words."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_stt_common.multipart import BrokenForm, FormParser, PartHead, boundary_of, read_parts

FIELD = b'Content-Disposition: form-data; name="a"\r\n\r\nb'
Parts = list[tuple[PartHead, bytes]]


def form_of(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


def parse(pieces: Iterable[bytes], parts_max: int = 32) -> Parts:
    parser = FormParser("x", parts_max=parts_max)
    items = [item for piece in pieces for item in parser.feed(piece)]
    parser.finish()
    return joined(items)


def joined(items: Iterable[PartHead | bytes]) -> Parts:
    parts: Parts = []
    for item in items:
        if isinstance(item, PartHead):
            parts.append((item, b""))
        else:
            head, content = parts.pop()
            parts.append((head, content + item))
    return parts


def test_parts_may_contain_any_bytes_except_the_delimiter() -> None:
    audio = b"\r\n--\r\n\r\n--y\x00" * 3
    body = form_of(
        b'Content-Disposition: form-data; name="audio"; filename="a;b.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        + audio,
        b"content-disposition: form-data; name=lang\r\n\r\nko",
        b'Content-Disposition: form-data; name="empty"\r\n\r\n',
    )
    expected = [(PartHead("audio", "a;b.wav"), audio), (PartHead("lang"), b"ko"), (PartHead("empty"), b"")]
    whole = b"preamble\r\n" + body + b"epilogue\r\n--x\r\n"
    assert parse([whole]) == expected
    assert parse(whole[at : at + 1] for at in range(len(whole))) == expected
    for at in range(len(whole)):
        assert parse([whole[:at], whole[at:]]) == expected, at


@given(st.binary(max_size=200), st.binary(max_size=80), st.lists(st.integers(0, 300), max_size=8))
def test_any_body_is_parsed_or_refused_whatever_the_size_of_the_pieces(
    noise: bytes, head: bytes, cuts: list[int]
) -> None:
    for body in (noise, form_of(head + b"\r\n\r\n" + noise), form_of(FIELD, noise)):
        edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
        pieces = [body[low:high] for low, high in zip(edges, edges[1:], strict=False)]
        assert outcome([body]) == outcome(pieces)


def outcome(pieces: Iterable[bytes]) -> Parts | str:
    try:
        return parse(pieces)
    except BrokenForm as error:
        return str(error)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "it ends too early"),
        (b"--x", "it ends too early"),
        (form_of(FIELD)[:-8], "it ends too early"),
        (form_of(b"no head"), "a part has no head"),
        (form_of(b"X: " + b"y" * 10_000 + b"\r\n\r\nb"), "a part has no head"),
        (b"--x\r\nX: " + b"y" * 10_000, "a part has no head"),
        (form_of(b"Content-Transfer-Encoding: base64\r\n\r\naGk="), "a part is encoded"),
        (form_of(b"Content-Encoding: gzip\r\n\r\n"), "a part is encoded"),
        (form_of(*[FIELD] * 33), "it has more than 32 parts"),
    ],
)
def test_a_broken_form_is_refused_with_the_reason(body: bytes, why: str) -> None:
    with pytest.raises(BrokenForm) as error:
        parse([body])
    assert str(error.value) == why


def test_encodings_that_change_nothing_are_accepted() -> None:
    head = b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: '
    for encoding in (b"8bit", b"BINARY", b"7bit"):
        assert parse([form_of(head + encoding + b"\r\n\r\nb")]) == [(PartHead("a"), b"b")]


@pytest.mark.parametrize(
    ("parameters", "head"),
    [
        (b'name="a b"', PartHead("a b")),
        (b"NAME = a ; filename = b.wav", PartHead("a", "b.wav")),
        (b'name="a\\"b\\\\"', PartHead('a"b\\')),
        ('name="소리"; filename="야간 회의.mp3"'.encode(), PartHead("소리", "야간 회의.mp3")),
        (b"name=a; filename=\"x\"; filename*=UTF-8''%EC%95%BC.mp3", PartHead("a", "야.mp3")),
        (b"name=a; filename*=no-such''%ff", PartHead("a")),
        (b'name=a; filename="%EC%95%BC%20%22x%22.mp3"', PartHead("a", '야 "x".mp3')),
        (b'name=a; filename="100%25 %41.mp3"', PartHead("a", "100%25 %41.mp3")),
        (b'name=a; filename="%FF%EC.mp3"', PartHead("a", "%FF%EC.mp3")),
        (b'filename="name=no"; name="yes"', PartHead("yes", "name=no")),
        (b'name="unclosed', PartHead("")),
        (b"", PartHead("")),
    ],
)
def test_names_are_read_from_the_head_of_a_part(parameters: bytes, head: PartHead) -> None:
    body = form_of(b"Content-Disposition: form-data; " + parameters + b"\r\n\r\n")
    assert parse([body]) == [(head, b"")]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=x", "x"),
        ('multipart/form-data; charset=utf-8; boundary="a b"', "a b"),
        ("multipart/form-data; boundary=" + "b" * 70, "b" * 70),
    ],
)
def test_the_boundary_is_read_from_the_content_type(content_type: str, boundary: str) -> None:
    assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "end", ["", "; boundary=", '; boundary="b', "; boundary=" + "b" * 71, "; boundary=é"]
)
def test_a_content_type_without_a_usable_boundary_is_refused(end: str) -> None:
    with pytest.raises(BrokenForm, match="names no boundary"):
        boundary_of("multipart/form-data" + end)


def test_a_long_part_is_not_held_in_memory() -> None:
    parser = FormParser("x", parts_max=1)
    parser.feed(b"--x\r\n" + FIELD)
    for _ in range(100):
        (piece,) = parser.feed(bytes(10_000))
        assert isinstance(piece, bytes)
        assert len(piece) >= 10_000 - len(b"\r\n--x")


def test_parsing_leaves_nothing_for_the_cycle_collector() -> None:
    body = form_of(FIELD, b'Content-Disposition: form-data; name="b"\r\nX-Y: z\r\n\r\n1')
    parse([body])
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(10):
            parse([body])
        assert len(gc.get_objects()) - before < 10
    finally:
        gc.enable()


async def test_a_body_is_read_as_it_arrives() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"--x\r\n" + FIELD[:20]
        yield FIELD[20:] + b"\r\n--x--"

    items = [item async for item in read_parts(body(), FormParser("x", parts_max=2))]
    assert joined(items) == [(PartHead("a"), b"b")]
    with pytest.raises(BrokenForm, match="ends too early"):
        [item async for item in read_parts(body(), FormParser("y", parts_max=2))]
