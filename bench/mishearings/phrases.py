"""The phrases that `scripts/collect_mishearings.py` speaks: radio traffic with glossary terms, and traps.

Pure. Each phrase carries the terms that are said in it, in canonical form. A trap says no term, but words
that resemble one: "the red one", "Bluetooth", "블루투스", "알파벳", a price, a time.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CALL_SIGNS: dict[str, str] = {
    "Alpha": "알파",
    "Bravo": "브라보",
    "Charlie": "찰리",
    "Delta": "델타",
    "Echo": "에코",
    "Foxtrot": "폭스트롯",
    "Tango": "탱고",
    "Sierra": "시에라",
    "Medic": "메딕",
    "Engine": "엔진",
    "Ladder": "래더",
    "Tower": "타워",
    "Rescue": "레스큐",
    "Eagle": "이글",
    "Falcon": "팔콘",
    "Viper": "바이퍼",
    "Blue": "블루",
    "Red": "레드",
    "Gold": "골드",
    "Unit": "유닛",
}
"""The base of each call sign, in English and in Hangul. Every base has the numbers 1 to 9."""
NAMED: dict[str, tuple[str, str]] = {
    "Incheon Bridge": ("Incheon Bridge", "인천대교"),
    "Namsan Tunnel": ("Namsan Tunnel", "남산터널"),
    "Yongsan Station": ("Yongsan Station", "용산역"),
    "Harbor Terminal": ("Harbor Terminal", "하버 터미널"),
    "Skyhook": ("Skyhook", "스카이훅"),
    "Hangang Park": ("Hangang Park", "한강공원"),
    "Kim Minjun": ("Kim Minjun", "김민준"),
    "Captain Reyes": ("Captain Reyes", "레예스 대장"),
    "Gate 12": ("Gate twelve", "게이트 십이"),
    "Route 45": ("Route forty five", "루트 사십오"),
    "KP-7": ("Kilo Papa seven", "케이피 칠"),
    "Zulu-21": ("Zulu two one", "줄루 둘 하나"),
}
"""Other terms: canonical form, and how it is said in English and in Korean."""

ENGLISH_DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RADIO_DIGITS = ("one", "two", "tree", "fower", "fife", "six", "seven", "eight", "niner")
LOAN_DIGITS = ("원", "투", "쓰리", "포", "파이브", "식스", "세븐", "에잇", "나인")
SINO_DIGITS = ("일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
NATIVE_DIGITS = ("하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
KOREAN_RADIO_DIGITS = ("하나", "둘", "삼", "넷", "오", "여섯", "칠", "팔", "아홉")

ENGLISH_CARRIERS = (
    "{a}, proceed to the north gate and wait for the ambulance.",
    "{a}, we have smoke showing on the second floor.",
    "Copy that, {a}.",
    "{a}, hold your position until the crowd has cleared.",
    "This is {a}, we are ten minutes out.",
    "{a}, one patient, conscious and breathing.",
    "{a}, this is {b}, the road is blocked by a fallen tree.",
    "{a}, {b}, radio check.",
    "Requesting backup from {a} at the main entrance.",
    "{a}, stand by for further instructions.",
    "{a}, say again your last message.",
    "{a} is returning to base for fuel.",
    "Please send {a} to the car park.",
    "{a}, switch to channel four.",
    "{a} and {b}, meet at the station.",
    "Dispatch to {a}, what is your location?",
    "{a}, over.",
    "We need {a} here now.",
    "{b}, this is {a}, go ahead.",
    "{a} has arrived on scene.",
)
ENGLISH_NAMED_CARRIERS = (
    "The suspect is near {n}.",
    "{a}, go to {n} immediately.",
    "There is an accident at {n}, two lanes are closed.",
    "Has anyone heard from {n} this morning?",
    "{n} is clear.",
    "{a}, report to {n} before noon.",
)
KOREAN_CARRIERS = (
    "{a}, 북문으로 이동하세요.",
    "{a}, 이층에서 연기가 보입니다.",
    "{a}, 수신 양호.",
    "여기는 {a}, 십 분 후에 도착합니다.",
    "{a}, 현재 위치를 보고하라.",
    "{a}, 여기는 {b}, 도로가 막혔습니다.",
    "{a}, 잠시 대기하세요.",
    "{a}, 다시 말씀해 주세요.",
    "{a} 지금 출동하세요.",
    "정문에 {a} 지원 바랍니다.",
    "{a} 현장에 도착했습니다.",
    "{a} 응답하라.",
    "{a}, 환자 한 명 발견했습니다.",
    "상황실, 여기는 {a}, 이상.",
    "{b}, {a}, 통신 점검.",
    "{a} 그리고 {b} 역 앞으로 집합.",
)
KOREAN_NAMED_CARRIERS = (
    "용의자가 {n} 근처에 있습니다.",
    "{a}, {n} 쪽으로 가세요.",
    "{n} 앞에서 사고가 났습니다.",
    "{n} 이상 없습니다.",
    "오늘 {n} 상황 보고 바랍니다.",
)
PARTICLE_CARRIERS = (
    ("{a}이 현장에 도착했습니다.", "{a}가 현장에 도착했습니다."),
    ("{a}은 대기하세요.", "{a}는 대기하세요."),
    ("{a}을 보내 주세요.", "{a}를 보내 주세요."),
    ("{a}에게 전달 바랍니다.", "{a}에게 전달 바랍니다."),
    ("{a}과 함께 이동합니다.", "{a}와 함께 이동합니다."),
)
"""With the particle after a final consonant, and the one after a vowel."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A sentence to speak. terms: the canonical terms in it, in order; a trap has none."""

    language: str
    text: str
    terms: tuple[str, ...]

    @property
    def is_trap(self) -> bool:
        return not self.terms


def phrases(count: int, seed: int = 14) -> Iterator[Phrase]:
    """`count` phrases with terms in each language, then every trap."""
    rng = random.Random(seed)
    for number in range(count):
        yield _english(rng, number)
        yield _korean(rng, number)
    for text in ENGLISH_TRAPS:
        yield Phrase("en", text, ())
    for text in KOREAN_TRAPS:
        yield Phrase("ko", text, ())


def _english(rng: random.Random, number: int) -> Phrase:
    (a, a_term), (b, b_term) = _english_sign(rng, number), _english_sign(rng, number + 7)
    if number % 5 == 4:
        name = rng.choice(sorted(NAMED))
        return _fill("en", rng.choice(ENGLISH_NAMED_CARRIERS), a=(a, a_term), n=(NAMED[name][0], name))
    return _fill("en", rng.choice(ENGLISH_CARRIERS), a=(a, a_term), b=(b, b_term))


def _english_sign(rng: random.Random, number: int) -> tuple[str, str]:
    base, digit = sorted(CALL_SIGNS)[number % len(CALL_SIGNS)], rng.randrange(9)
    digits = RADIO_DIGITS if rng.random() < 0.12 else ENGLISH_DIGITS
    return f"{base} {digits[digit]}", f"{base}-{digit + 1}"


def _korean(rng: random.Random, number: int) -> Phrase:
    (a, a_term), (b, b_term) = _korean_sign(rng, number), _korean_sign(rng, number + 7)
    if number % 5 == 4:
        name = rng.choice(sorted(NAMED))
        return _fill("ko", rng.choice(KOREAN_NAMED_CARRIERS), a=(a, a_term), n=(NAMED[name][1], name))
    if number % 5 == 2:
        with_final, without = rng.choice(PARTICLE_CARRIERS)
        return _fill("ko", with_final if _has_final(a[-1]) else without, a=(a, a_term))
    return _fill("ko", rng.choice(KOREAN_CARRIERS), a=(a, a_term), b=(b, b_term))


def _korean_sign(rng: random.Random, number: int) -> tuple[str, str]:
    base, digit = sorted(CALL_SIGNS)[number % len(CALL_SIGNS)], rng.randrange(9)
    digits = rng.choice(
        (LOAN_DIGITS, LOAN_DIGITS, LOAN_DIGITS, SINO_DIGITS, NATIVE_DIGITS, KOREAN_RADIO_DIGITS)
    )
    joint = rng.choice(("", " "))
    return f"{CALL_SIGNS[base]}{joint}{digits[digit]}", f"{base}-{digit + 1}"


def _has_final(syllable: str) -> bool:
    return (ord(syllable) - 0xAC00) % 28 != 0


def _fill(language: str, carrier: str, **parts: tuple[str, str]) -> Phrase:
    used = sorted((carrier.index("{" + key + "}"), key) for key in parts if "{" + key + "}" in carrier)
    text = carrier.format(**{key: said for key, (said, _) in parts.items()})
    return Phrase(language, text, tuple(parts[key][1] for _, key in used))


ENGLISH_TRAPS: Sequence[str] = tuple(
    """Please connect the Bluetooth headset.
The Bluetooth speaker is on channel two.
She taught the children the alphabet.
The alphabet has twenty six letters.
I want the red one, not the blue one.
Give me the blue one over there.
The gold one costs forty five dollars.
Did you take a red one or a green one?
There was a long applause at the end.
Bravo! That was a beautiful concert.
Bravo, well done everybody.
The echo in this hall is terrible.
We heard an echo from the tunnel.
The engine is too hot.
Turn off the engine for one minute.
The engine won the race.
Put the ladder against the wall.
The latter two questions are difficult.
The letter was sent two days ago.
Two units of blood are needed.
The unit costs nine dollars.
A unit for each family is planned.
The river delta is three miles wide.
They danced the tango for two hours.
The tango won first prize.
The eagle landed five minutes ago.
An eagle ate the fish.
The tower is eight hundred feet tall.
From the tower you can see the bridge.
The rescue took six hours.
A rescue for the injured is on the way.
The medical team needs two more stretchers.
Medicine is in the blue bag.
He was bitten by a viper once.
The falcon is one of the fastest birds.
The sierra is covered with snow.
Charlie and two friends went home.
Charlie won the lottery.
I read one book about it.
I read two reports this morning.
The price is four dollars and ninety nine cents.
It is seven thirty in the morning.
The meeting starts at nine fifteen.
Take one tablet every eight hours.
The temperature is twenty one degrees.
Five people are waiting at the gate.
The gate closes at twelve.
Gates are closed until five.
The route is forty five kilometers long.
Everything is as good as gold for now.
The sky looks blue today.
The blue team scored three goals.
Red lights mean stop.
The red tree in the garden is old.
The captain raised his hand.
The captain's race is tomorrow.
We crossed the bridge in the morning.
The station is near the park.
Kim arrived in June.
The terminal in the harbor is closed.
Hook the sky blue rope to the wall.
A delta for the river was painted on the map.
Tell Charlie to wait.
The alpha version is not ready.
Alphabetical order, please.
The foxes trot across the field.
We need a medic.
The golden tower is beautiful.
Ladders are on the truck.
Engines one after another failed.
Unite for peace.
United three nil winners.
Reading for children.
Read for two hours.
The echoes were loud.
Blew two tires on the highway.
They blew one of the doors open.
Let her two dogs out.
Letters for you.
It's all for one and one for all.""".splitlines()
)
KOREAN_TRAPS: Sequence[str] = tuple(
    """블루투스 이어폰을 연결하세요.
블루투스가 안 됩니다.
알파벳을 외우세요.
알파벳 순서로 정리했습니다.
파란 옷을 입은 사람입니다.
파란색 차가 지나갔습니다.
브라보! 정말 잘했습니다.
브라보 소리가 들렸습니다.
알파원산지 표시를 확인하세요.
엔진 오일을 교체했습니다.
엔진이 꺼졌습니다.
엔진 이상이 발견되었습니다.
엔진 사고가 났습니다.
타워에 불이 났습니다.
타워 이층에 있습니다.
레드 와인 한 병 주세요.
레드 카펫을 준비했습니다.
골드 바를 샀습니다.
골드 사세요.
블루베리를 샀습니다.
블루 오션 전략입니다.
에코백을 들고 있습니다.
에코 사업을 시작했습니다.
델타 변이가 유행입니다.
델타 이론을 배웁니다.
탱고를 배우고 있습니다.
탱고 사랑 모임입니다.
찰리 채플린 영화를 봤습니다.
찰리 오빠가 왔습니다.
유닛 이동이 끝났습니다.
유니폼을 입은 사람입니다.
이글거리는 태양입니다.
이글루를 만들었습니다.
이 글을 읽어 보세요.
가격은 사천오백원입니다.
가격은 만 이천 원입니다.
오후 두 시 삼십 분에 만나요.
세 시 십오 분에 출발합니다.
사람 네 명이 기다립니다.
하나 둘 셋 하고 뛰세요.
일 이 삼 사 번 문제를 푸세요.
게이트가 열두 시에 닫힙니다.
게이트 앞에 사람이 많습니다.
루트를 확인하세요.
오늘 루트는 사십오 킬로미터입니다.
대장이 레이스에 나갔습니다.
김민주 씨가 왔습니다.
김민정 선생님을 찾습니다.
남산에 올라갔습니다.
남산 타워가 보입니다.
용산에서 만납시다.
한강에 갔습니다.
공원에서 쉬고 있습니다.
인천으로 이동 중입니다.
대교 위에 차가 멈췄습니다.
터미널에서 기다리세요.
스카이라인이 보입니다.
하늘이 파랗습니다.
박수를 쳐 주세요.
레스토랑에서 만납시다.
메디컬 센터로 이송합니다.
사다리차를 보내 주세요.
레더 재킷을 입었습니다.
골든 타임이 지났습니다.
시에스타 시간입니다.
시애틀에서 왔습니다.
폭스바겐 차량입니다.
팔꿈치를 다쳤습니다.
바이러스 검사를 했습니다.
바이올린 소리가 납니다.
유니세프에 기부했습니다.
알파카를 봤습니다.
알파고가 이겼습니다.
브라질에서 왔습니다.
델리에서 왔습니다.
에코원산지를 확인했습니다.
레드 하나 주세요.
블루 두 개 주세요.
타워 주차장 이용 요금은 삼천 원입니다.
케이크 칠 개 주세요.""".splitlines()
)
