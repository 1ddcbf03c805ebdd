from typing import Any

from bench.kill_score import Reading, Spoken, score

READINGS = {"alpha one": Reading("Alpha one.", 100, 1100)}


def spoken(start_ms: int, *, whole: bool = True) -> Spoken:
    return Spoken("C01", "alpha one", start_ms, 1200, 1200, whole, not whole)


def final(text: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {"channel": "C01", "text": text, "raw": text, "start_ms": start_ms, "end_ms": end_ms}


def test_a_phrase_at_its_time_counts_once() -> None:
    result = score([spoken(5000)], [final("alpha one", 5130, 6080)], READINGS)
    assert (result.phrases, result.same, result.missing, result.doubled) == (1, 1, [], [])
    assert result.time_errors_ms == [30]


def test_a_phrase_nobody_read_is_missing_and_one_that_was_cut_is_not() -> None:
    result = score([spoken(5000), spoken(9000, whole=False)], [], READINGS)
    assert (result.phrases, result.cut, len(result.missing)) == (1, 1, 1)


def test_other_words_in_its_place_are_not_the_phrase() -> None:
    assert score([spoken(5000)], [final("return to base", 5100, 6000)], READINGS).missing


def test_twice_is_twice_also_when_the_phrase_was_cut() -> None:
    twice = [final("alpha one", 5100, 6100), final("alpha one", 5200, 6150)]
    assert score([spoken(5000)], twice, READINGS).doubled
    assert score([spoken(5000, whole=False)], twice, READINGS).doubled


def test_a_phrase_in_two_lines_is_one() -> None:
    lines = [final("alpha", 5100, 5500), final("one", 5600, 6100)]
    result = score([spoken(5000)], lines, READINGS)
    assert (result.missing, result.doubled, result.misplaced) == ([], [], [])


def test_a_phrase_somewhere_else_is_told() -> None:
    result = score([spoken(5000)], [final("alpha one", 5500, 6500)], READINGS)
    assert len(result.misplaced) == 1
    assert result.as_dict()["time_error_ms_max"] == 400
