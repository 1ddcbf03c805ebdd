"""Summaries without a language model: which lines are chosen, in Korean and English."""

from __future__ import annotations

import time

from webrtc_host.summaries.content import Line
from webrtc_host.summaries.extract import SENTENCES_MAX, extract
from webrtc_host.summaries.extract_words import features_of, names_of

ENGLISH = (
    "good morning everyone",
    "the fuel truck at gate seven has broken down",
    "okay copy that",
    "without the fuel truck Alpha-1 cannot leave gate seven",
    "yes",
    "lunch was very good today",
    "a second fuel truck comes from the north to gate seven in ten minutes",
    "okay",
    "my son plays football",
    "Alpha-1 waits at gate seven for the second fuel truck",
)
KOREAN = (
    "안녕하세요 여러분",
    "삼번 게이트에서 연료 트럭이 고장 났습니다",
    "네 알겠습니다",
    "연료 트럭 없이는 알파원이 삼번 게이트를 떠날 수 없습니다",
    "점심이 아주 맛있었습니다",
    "두 번째 연료 트럭이 북쪽에서 삼번 게이트로 십 분 뒤에 옵니다",
    "제 아들은 축구를 합니다",
    "알파원은 삼번 게이트에서 두 번째 연료 트럭을 기다립니다",
)


def lines_of(*texts: str) -> list[Line]:
    return [Line(f"g_{n}", "C01", "C01", n * 1000, n * 1000 + 900, text) for n, text in enumerate(texts)]


def test_the_lines_about_the_matter_are_chosen_in_their_order() -> None:
    content = extract(lines_of(*ENGLISH))
    assert {one.cites[0] for one in content.summary} <= {"g_1", "g_3", "g_6", "g_9"}
    assert len(content.summary) == 3
    assert [one.cites for one in content.summary] == sorted(one.cites for one in content.summary)
    assert [one.text for one in content.summary] == [
        ENGLISH[int(one.cites[0][2:])] for one in content.summary
    ]
    assert "fuel" in content.title


def test_korean_lines_are_compared_without_their_endings() -> None:
    content = extract(lines_of(*KOREAN))
    assert {one.cites[0] for one in content.summary} <= {"g_1", "g_3", "g_5", "g_7"}
    assert "게이트" in content.title
    assert names_of("게이트에서 게이트로 게이트를 네") == ["게이트"] * 3
    assert names_of("Alpha-1 is at the gate") == ["Alpha-1", "gate"]
    assert set(features_of("연료트럭이")) == {"연료", "료트", "트럭"}


def test_a_line_that_is_said_again_and_again_is_chosen_once() -> None:
    said = ["the fuel truck is at gate seven now"] * 30 + list(ENGLISH)
    content = extract(lines_of(*said))
    assert len({one.text for one in content.summary}) == len(content.summary)


def test_any_text_has_a_summary() -> None:
    assert extract(lines_of("네")).summary[0].text == "네"
    assert extract([]).summary == ()
    assert extract(lines_of("...", "!?")).title == ""


def test_a_long_session_takes_little_time_and_has_topics() -> None:
    texts = [f"{ENGLISH[n % 10]} number {n * 7919 % 997}" for n in range(3000)]
    begin_s = time.process_time()
    content = extract(lines_of(*texts))
    assert time.process_time() - begin_s < 3
    assert len(content.summary) == SENTENCES_MAX
    starts = [one.cites[0] for one in content.topics]
    assert len(starts) == 6
    assert starts == sorted(starts, key=lambda cite: int(cite[2:]))
