"""Error texts say what happened and what was sent, in words without Python in them."""

from __future__ import annotations

from typing import Any

import av
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from host_stt_common.plain import plain_error, plain_mistake, shown


class Inner(BaseModel):
    name: str


class Outer(BaseModel):
    inner: Inner
    many: list[Inner] = []
    count: int = 0


@pytest.mark.parametrize(
    "error",
    [
        AssertionError(),
        KeyError("x"),
        AttributeError("'NoneType' object has no attribute 'role'"),
        ValueError("invalid literal for int() with base 10: 'x'"),
        RuntimeError("x"),
        OSError(),
    ],
)
def test_internal_error_texts_are_not_shown(error: Exception) -> None:
    assert plain_error(error, "it is damaged") == "it is damaged"


def test_error_texts_of_the_system_and_the_media_library_are_shown() -> None:
    assert plain_error(OSError(28, "No space left on device"), "x") == "no space left on device"
    refused = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 9)")
    assert plain_error(refused, "x") == "connection refused"
    with pytest.raises(av.FFmpegError) as caught:
        av.open("/nowhere/at/all.wav")
    assert plain_error(caught.value, "x") == "no such file or directory"


@pytest.mark.parametrize(
    "body", [{"inner": 5}, {"inner": None}, {"inner": {}}, {"inner": {"name": []}, "many": {}, "count": "x"}]
)
def test_an_error_in_a_body_names_no_class(body: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(body)
    for mistake in caught.value.errors():
        text = plain_mistake(mistake["msg"])
        for word in ("Inner", "Outer", "dictionary", "instance", "Input", "Value error"):
            assert word not in text


class Fields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    whole: int
    number: float = 0.0
    switch: bool = False


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"whole": "abc"}, "should be a whole number"),
        ({"whole": 1.5}, "should be a whole number"),
        ({"whole": 1, "number": "x"}, "should be a number"),
        ({"whole": 1, "switch": "perhaps"}, "should be true or false"),
        ({}, "is missing"),
        ({"whole": 1, "text": ""}, "is not known here"),
    ],
)
def test_an_error_in_a_body_is_described_in_plain_words(body: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Fields.model_validate(body)
    assert [plain_mistake(mistake["msg"]) for mistake in caught.value.errors()] == [text]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ({"a": None}, '{"a": null}'),
        ([1, "x"], '[1, "x"]'),
        ("text", "'text'"),
        ("x" * 99, repr("x" * 40)),
        ("\ud800", "'?'"),
    ],
)
def test_a_wrong_value_is_shown_as_it_was_sent(value: Any, text: str) -> None:
    assert shown(value) == text
