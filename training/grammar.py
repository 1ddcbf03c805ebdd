"""The phrases that the starter model knows: radio and intercom traffic in English and Korean.

Standard library only, so tests and demos can draw phrases without a training environment. Contains the words,
the call signs and the split between training and test; nothing about audio. A phrase is in lower case,
without punctuation, with single spaces: the written text is exactly the spoken text.
"""

import hashlib
import random
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "ko"]

HELD_OUT_MODULUS = 16
"""One in this many sentences is never used for training."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
NATO = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa "
    "quebec romeo sierra tango uniform victor whiskey xray yankee zulu"
).split()
COLOURS = "red blue green gold silver black white orange".split()
UNITS = (
    "unit engine ladder medic tower control dispatch base command camera stage security patrol rescue ground "
    "team marshal escort"
).split()
CALL_NAMES = (*NATO, *COLOURS, *UNITS)

KOREAN_NAMES = {
    "알파": "Alpha",
    "브라보": "Bravo",
    "찰리": "Charlie",
    "델타": "Delta",
    "에코": "Echo",
    "골프": "Golf",
    "호텔": "Hotel",
    "탱고": "Tango",
    "블루": "Blue",
    "레드": "Red",
    "골드": "Gold",
    "화이트": "White",
}
KOREAN_DIGITS = {
    "제로": "0",
    "원": "1",
    "투": "2",
    "쓰리": "3",
    "포": "4",
    "파이브": "5",
    "식스": "6",
    "세븐": "7",
    "에잇": "8",
    "나인": "9",
}

_DIGIT_OF = {word: str(value) for value, word in enumerate(DIGITS)}
_DIGIT_WORD = "|".join(DIGITS)
_CALL_EN = re.compile(rf"\b({'|'.join(CALL_NAMES)}) ({_DIGIT_WORD})(?: ({_DIGIT_WORD}))?\b")
_CALL_KO = re.compile(rf"({'|'.join(KOREAN_NAMES)})({'|'.join(KOREAN_DIGITS)})(?![가-힣])")

_PLACES = (
    *"gate checkpoint sector runway bridge tunnel platform entrance floor zone lobby roof".split(),
    *"exit hall corridor warehouse perimeter helipad terminal crossing".split(),
    "car park",
    "loading dock",
    "main stage",
)
_DIRECTIONS = "north south east west".split()
_SIDES = "left right".split()
_TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_TAILS = ("over", "out", "roger", "copy", "please", "wilco", "how copy", "stand by", "over and out")

# {p} a place, {c} a call sign, {d} a compass direction, {s} a side, {n} a digit, {t} a round number below a
# hundred.
_ORDERS_EN = (
    "proceed to {p}",
    "move to {p}",
    "return to {p}",
    "hold at {p}",
    "wait at {p}",
    "meet me at {p}",
    "send a medic to {p}",
    "send {n} people to {p}",
    "close {p}",
    "open {p}",
    "clear {p}",
    "search {p}",
    "guard {p}",
    "go to {p} and wait for {c}",
    "bring the stretcher to {p}",
    "keep everyone away from {p}",
    "report from {p}",
    "report your position",
    "say again",
    "say again your last message",
    "check your radio",
    "switch to channel {n}",
    "go to channel {n} {n}",
    "turn {s} at {p}",
    "turn {d} and hold",
    "head {d} to {p}",
    "follow {c} to {p}",
    "let {c} pass",
    "take over from {c}",
    "all stations stand by",
    "all units hold position",
    "all units return to base",
    "hold your position",
    "stop all traffic at {p}",
    "start the countdown",
    "start the recording",
    "stop the recording",
    "cue the lights",
    "cue the music",
    "camera {n} zoom in",
    "camera {n} hold that shot",
    "lights down",
    "curtain up in {n} minutes",
    "turn the volume down",
    "mute microphone {n}",
    "climb to {n} thousand feet",
    "descend to {n} thousand feet",
    "speed {n} {n} {n}",
    "heading {n} {n} {n}",
    "cleared to land",
    "cleared for takeoff",
    "be ready in {t} minutes",
)
_REPORTS_EN = (
    "we are at {p}",
    "i am at {p}",
    "arriving at {p}",
    "leaving {p} now",
    "on my way to {p}",
    "we have reached {p}",
    "{p} is clear",
    "{p} is closed",
    "{p} is open",
    "{p} is blocked",
    "{p} is secure",
    "there is smoke at {p}",
    "there is a fire at {p}",
    "there is a crowd at {p}",
    "there is water on {p}",
    "we have one injured at {p}",
    "there are {n} people at {p}",
    "vehicle stopped near {p}",
    "accident near {p}",
    "lost child found at {p}",
    "suspicious bag at {p}",
    "we need help at {p}",
    "we need an ambulance at {p}",
    "requesting backup at {p}",
    "requesting permission to land",
    "wind from the {d}",
    "wind {n} {n} knots",
    "visibility is good",
    "visibility is low",
    "battery at {t} percent",
    "battery is low",
    "fuel is low",
    "the patient is stable",
    "the door is locked",
    "the line is clear",
    "the train is {n} minutes late",
    "the stage is ready",
    "the engine is running",
    "sound check is finished",
    "radio check",
    "i read you loud and clear",
    "your signal is weak",
    "message received",
    "affirmative",
    "negative",
    "understood",
    "task complete",
    "nothing to report",
    "time is {t} {t}",
    "we have {t} minutes left",
    "{c} is with me",
    "{c} is not answering",
    "i can see {c}",
)

_PLACES_KO = (
    "정문 후문 동문 서문 무대 본부 주차장 옥상 로비 관제실 대기실 검문소 활주로 지하 매표소 의무실".split()
)
# {p} a place, {p로} the place with its particle of direction, {c} a call sign, {k} a count.
_ORDERS_KO = (
    "{p로} 이동하라",
    "{p로} 출동하라",
    "{p로} 복귀하라",
    "{p}에서 대기하라",
    "{p} 확인 바람",
    "{p} 통제하라",
    "{p} 개방하라",
    "{p}에 지원 바람",
    "{p}에 구급차 보내라",
    "{p} 수색하라",
    "{c} 따라가라",
    "현재 위치 보고하라",
    "다시 말하라",
    "잠시 대기하라",
    "채널 {k}번으로 바꿔라",
    "촬영 시작하라",
    "촬영 중지하라",
    "조명 올려라",
    "음악 내려라",
    "전 대원 대기하라",
    "응답하라",
)
_REPORTS_KO = (
    "{p} 도착",
    "{p} 이상 없음",
    "{p} 연기 발생",
    "{p} 화재 발생",
    "{p} 인원 혼잡",
    "{p} 통제 완료",
    "{p} 수색 완료",
    "{p로} 이동 중",
    "{p}에서 대기 중",
    "환자 {k}명 발생",
    "환자 {k}명 이송 중",
    "수신 양호",
    "수신 불량",
    "알았다",
    "임무 완료",
    "조명 준비 완료",
    "음향 점검 완료",
    "배터리 부족",
    "차량 {k}대 통과",
    "{c} 응답 없음",
    "지원 요청",
)
_COUNTS_KO = "한 두 세 네 다섯 여섯".split()
_CHANNELS_KO = "일 이 삼 사 오 육 칠 팔 구".split()


@dataclass(frozen=True, slots=True)
class Phrase:
    """One utterance: the spoken text, which is also the written text without a glossary."""

    text: str
    language: Language


def normalised(text: str) -> str:
    """Lower case, letters and digits only, single spaces: the form for counting and for the split."""
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def is_held_out(text: str) -> bool:
    """True if the sentence is only for tests. Decided by its hash, so it is the same for all seeds."""
    digest = hashlib.sha256(normalised(text).encode()).digest()
    return int.from_bytes(digest[:4], "big") % HELD_OUT_MODULUS == 0


def english_call(rng: random.Random) -> str:
    kind = rng.random()
    names = NATO if kind < 0.55 else COLOURS if kind < 0.75 else UNITS
    digits = 2 if rng.random() < 0.12 else 1
    return " ".join([rng.choice(names), *(rng.choice(DIGITS) for _ in range(digits))])


def korean_call(rng: random.Random) -> str:
    return rng.choice(list(KOREAN_NAMES)) + rng.choice(list(KOREAN_DIGITS))


def call_signs(text: str) -> dict[str, str]:
    """The call signs in `text`: spoken form (`alpha one`, `알파원`) -> form in a glossary (`Alpha-1`)."""
    found = {
        match[0]: f"{match[1].capitalize()}-{_DIGIT_OF[match[2]]}{_DIGIT_OF.get(match[3] or '', '')}"
        for match in _CALL_EN.finditer(text)
    }
    for match in _CALL_KO.finditer(text):
        found[match[0]] = f"{KOREAN_NAMES[match[1]]}-{KOREAN_DIGITS[match[2]]}"
    return found


def random_canonical_call(rng: random.Random) -> str:
    """A call sign in its listed form, for lists with names that are not spoken."""
    return next(iter(call_signs(english_call(rng)).values()))


def written_words(words: Sequence[str], listed: Collection[str]) -> list[tuple[str, int]]:
    """The words that the model must write if a glossary lists the call signs `listed` (as `Alpha-1`).

    Each written word comes with the number of spoken words that it stands for.
    """
    text, result, index, position = " ".join(words), list[tuple[str, int]](), 0, 0
    matches = {
        match.start(): match[0] for pattern in (_CALL_EN, _CALL_KO) for match in pattern.finditer(text)
    }
    while index < len(words):
        spoken = matches.get(position, "")
        canonical = call_signs(spoken).get(spoken, "")
        taken = spoken if canonical in listed else words[index]
        count = len(taken.split())
        result.append((canonical if canonical in listed else taken, count))
        index, position = index + count, position + len(taken) + 1
    return result


def written(text: str, listed: Collection[str]) -> str:
    """The text that the model must write if a glossary lists the call signs `listed` (as `Alpha-1`)."""
    return " ".join(word for word, _ in written_words(text.split(), listed))


def _english_place(rng: random.Random) -> str:
    place, kind = rng.choice(_PLACES), rng.random()
    if kind < 0.5:
        return f"{place} {rng.choice(DIGITS)}"
    if kind < 0.7:
        return f"the {rng.choice(_DIRECTIONS)} {place}"
    if kind < 0.85:
        return f"{place} {rng.choice(NATO)}"
    return f"the {place}"


def _english_sentence(rng: random.Random) -> str:
    template = rng.choice(_ORDERS_EN if rng.random() < 0.5 else _REPORTS_EN)
    draw: dict[str, Callable[[], str]] = {
        "p": lambda: _english_place(rng),
        "c": lambda: english_call(rng),
        "d": lambda: rng.choice(_DIRECTIONS),
        "s": lambda: rng.choice(_SIDES),
        "n": lambda: rng.choice(DIGITS),
        "t": lambda: rng.choice(_TENS),
    }
    return re.sub(r"\{(\w)\}", lambda match: draw[match[1]](), template)


def _english(rng: random.Random) -> str:
    parts, opening = [], rng.random()
    if opening < 0.7:
        parts.append(english_call(rng))
        if rng.random() < 0.35:
            parts.append(f"this is {english_call(rng)}")
    elif opening < 0.78:
        parts.append(f"{rng.choice(UNITS)} this is {english_call(rng)}")
    parts.append(_english_sentence(rng))
    if rng.random() < 0.5:
        parts.append(rng.choice(_TAILS))
    return " ".join(parts)


def _towards(place: str) -> str:
    """The place with the particle 로 or 으로: 으로 after a final consonant other than ㄹ."""
    final = (ord(place[-1]) - ord("가")) % 28
    return place + ("로" if final in (0, 8) else "으로")


def _korean_sentence(rng: random.Random) -> str:
    template = rng.choice(_ORDERS_KO if rng.random() < 0.5 else _REPORTS_KO)
    place = rng.choice(_PLACES_KO)
    counts = _CHANNELS_KO if "번" in template else _COUNTS_KO
    filled = template.replace("{p로}", _towards(place)).replace("{p}", place)
    return filled.replace("{c}", korean_call(rng)).replace("{k}", rng.choice(counts))


def _korean(rng: random.Random) -> str:
    parts = []
    if rng.random() < 0.8:
        parts.append(korean_call(rng))
        if rng.random() < 0.3:
            parts.append(f"여기는 {korean_call(rng)}")
    parts.append(_korean_sentence(rng))
    if rng.random() < 0.4:
        parts.append("이상")
    return " ".join(parts)


def draw_phrase(rng: random.Random, language: Language | None = None, *, held_out: bool = False) -> Phrase:
    """Draw one phrase: from the test part of the split if `held_out`, else from the training part.

    language: one language, or None for three English phrases to one Korean.
    """
    chosen: Language = language or ("ko" if rng.random() < 0.25 else "en")
    while True:
        text = _korean(rng) if chosen == "ko" else _english(rng)
        if is_held_out(text) == held_out:
            return Phrase(text, chosen)
