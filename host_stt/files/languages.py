"""Languages by name, as OpenAI's answers give them, and back to the codes that models know."""

from __future__ import annotations

import re

NAMES = dict(
    pair.split(":")
    for pair in (
        "af:afrikaans am:amharic ar:arabic as:assamese az:azerbaijani ba:bashkir be:belarusian "
        "bg:bulgarian bn:bengali bo:tibetan br:breton bs:bosnian ca:catalan cs:czech cy:welsh da:danish "
        "de:german el:greek en:english es:spanish et:estonian eu:basque fa:persian fi:finnish fo:faroese "
        "fr:french gl:galician gu:gujarati ha:hausa haw:hawaiian he:hebrew hi:hindi hr:croatian "
        "ht:haitian_creole hu:hungarian hy:armenian id:indonesian is:icelandic it:italian ja:japanese "
        "jw:javanese ka:georgian kk:kazakh km:khmer kn:kannada ko:korean la:latin lb:luxembourgish "
        "ln:lingala lo:lao lt:lithuanian lv:latvian mg:malagasy mi:maori mk:macedonian ml:malayalam "
        "mn:mongolian mr:marathi ms:malay mt:maltese my:myanmar ne:nepali nl:dutch nn:nynorsk "
        "no:norwegian oc:occitan pa:punjabi pl:polish ps:pashto pt:portuguese ro:romanian ru:russian "
        "sa:sanskrit sd:sindhi si:sinhala sk:slovak sl:slovenian sn:shona so:somali sq:albanian "
        "sr:serbian su:sundanese sv:swedish sw:swahili ta:tamil te:telugu tg:tajik th:thai tk:turkmen "
        "tl:tagalog tr:turkish tt:tatar uk:ukrainian ur:urdu uz:uzbek vi:vietnamese yi:yiddish yo:yoruba "
        "yue:cantonese zh:chinese"
    ).split()
)
NAMES = {code: name.replace("_", " ") for code, name in NAMES.items()}
"""Whisper's hundred languages."""
_CODES = {name: code for code, name in NAMES.items()}
WITHOUT_SPACES = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})
"""Written without spaces between words: texts of neighbouring windows join as they are."""


def name_of(code: str) -> str:
    """The English name in small letters; the code itself where there is none."""
    return NAMES.get(code, code)


def code_of(language: str) -> str:
    """The code of a name or code in any case, a country after it or not; unchanged where it is neither."""
    plain = language.strip().lower()
    base = re.split("[-_]", plain)[0]
    return _CODES.get(plain, base if base in NAMES else plain)
