"""Read language tags as clients write them, and map them to Whisper's codes.

Every endpoint of both ports and the command line use this one function. It accepts a code of ISO 639-1, -2 or
-3 (`ko`, `kor`), a BCP 47 tag (`zh-Hans-CN`), a POSIX locale (`ko_KR.UTF-8`) and a name in English or in the
language itself. A table is enough: Whisper has a hundred languages, and their codes do not change.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

AUTO = "auto"
HOW = "give auto, a code such as en, ko or pt-BR, or a name such as Korean"
"""For error texts: what a client can send instead."""

# Each line: Whisper's code, then the ISO 639-2 and -3 codes, former codes, and codes of varieties that
# Whisper treats as this language (`arb`, Modern Standard Arabic); after the colon the English name and other
# names.
_TABLE = """
af afr: afrikaans
am amh: amharic, አማርኛ
ar ara arb arz apc ary afb acm: arabic, العربية
as asm: assamese, অসমীয়া
az aze azj: azerbaijani, azeri, azərbaycan
ba bak: bashkir
be bel: belarusian, беларуская
bg bul: bulgarian, български
bn ben: bengali, bangla, বাংলা
bo bod tib: tibetan, བོད་སྐད་
br bre: breton, brezhoneg
bs bos: bosnian, bosanski
ca cat: catalan, valencian, català
cs ces cze: czech, čeština
cy cym wel: welsh, cymraeg
da dan: danish, dansk
de deu ger: german, deutsch
el ell gre: greek, ελληνικά
en eng: english
es spa: spanish, castilian, español
et est ekk: estonian, eesti
eu eus baq: basque, euskara
fa fas per pes prs: persian, farsi, dari, فارسی
fi fin: finnish, suomi
fo fao: faroese, føroyskt
fr fra fre: french, français
gl glg: galician, galego
gu guj: gujarati, ગુજરાતી
ha hau: hausa
haw: hawaiian
he heb iw: hebrew, עברית
hi hin: hindi, हिन्दी
hr hrv scr: croatian, hrvatski
ht hat: haitian creole, haitian
hu hun: hungarian, magyar
hy hye arm: armenian, հայերեն
id ind in: indonesian, bahasa indonesia
is isl ice: icelandic, íslenska
it ita: italian, italiano
ja jpn: japanese, 日本語
jw jav jv: javanese, basa jawa
ka kat geo: georgian, ქართული
kk kaz: kazakh, қазақша
km khm: khmer, cambodian, ខ្មែរ
kn kan: kannada, ಕನ್ನಡ
ko kor: korean, 한국어, 한국말
la lat: latin
lb ltz: luxembourgish, letzeburgesch, lëtzebuergesch
ln lin: lingala
lo lao: lao, ລາວ
lt lit: lithuanian, lietuvių
lv lav lvs: latvian, latviešu
mg mlg plt: malagasy
mi mri mao: maori, māori
mk mkd mac: macedonian, македонски
ml mal: malayalam, മലയാളം
mn mon khk: mongolian, монгол
mr mar: marathi, मराठी
ms msa may zsm: malay, bahasa melayu
mt mlt: maltese, malti
my mya bur: myanmar, burmese, မြန်မာ
ne nep npi: nepali, नेपाली
nl nld dut: dutch, flemish, nederlands, vlaams
nn nno: nynorsk, norwegian nynorsk
no nor nb nob: norwegian, norwegian bokmål, bokmål, norsk
oc oci: occitan
pa pan: punjabi, panjabi, ਪੰਜਾਬੀ
pl pol: polish, polski
ps pus pbt pbu: pashto, pushto, پښتو
pt por: portuguese, português
ro ron rum mo mol: romanian, moldavian, moldovan, română
ru rus: russian, русский
sa san: sanskrit
sd snd: sindhi
si sin: sinhala, sinhalese, සිංහල
sk slk slo: slovak, slovenčina
sl slv: slovenian, slovene, slovenščina
sn sna: shona
so som: somali, soomaali
sq sqi alb als: albanian, shqip
sr srp scc: serbian, српски, srpski
su sun: sundanese, basa sunda
sv swe: swedish, svenska
sw swa swh: swahili, kiswahili
ta tam: tamil, தமிழ்
te tel: telugu, తెలుగు
tg tgk: tajik, тоҷикӣ
th tha: thai, ไทย
tk tuk: turkmen
tl tgl fil: tagalog, filipino, pilipino
tr tur: turkish, türkçe
tt tat: tatar
uk ukr: ukrainian, українська
ur urd: urdu, اردو
uz uzb uzn: uzbek, oʻzbek
vi vie: vietnamese, tiếng việt
yi yid ydd ji: yiddish, ייִדיש
yo yor: yoruba, yorùbá
yue: cantonese, 粵語, 粤语, 廣東話
zh zho chi cmn: chinese, mandarin, mandarin chinese, 中文, 汉语, 漢語, 普通话, 國語
"""
_AUTO_WORDS = ("auto", "automatic", "auto-detect", "autodetect", "detect", "multi", "und", "mul")
_FALLBACKS = {"yue": "zh", "nn": "no"}
"""The similar language, written alike, that is used if a model was not trained on the first one."""


def _read_table() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """(code to English name, any current or former code to code, name to code)."""
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    codes_by_name: dict[str, str] = {}
    for line in _TABLE.strip().splitlines():
        given_codes, _, given_names = line.partition(":")
        code = given_codes.split()[0]
        all_names = [_folded(name) for name in given_names.split(",")]
        names[code] = all_names[0]
        codes |= dict.fromkeys(given_codes.split(), code)
        codes_by_name |= dict.fromkeys(all_names, code)
    return names, codes, codes_by_name


def _folded(text: str) -> str:
    """The text in NFKC form, in lower case, with single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


NAMES, _CODES, _CODES_BY_NAME = _read_table()
"""NAMES: the English name, in lower case, of each of Whisper's hundred languages."""
_SUBTAG = re.compile(r"[a-z0-9]{1,8}")
_REGION_OR_SCRIPT = re.compile(r"[a-z]{2}|[a-z]{4}|[0-9]{3}")
_TEXT_CHARS_MAX = 64


def read_language(text: str) -> str | None:
    """Whisper's code for a language as a client writes it. "auto" for an empty text; None if unknown.

    Ignored: case, underscores, spaces around, a region, a script, a variant and a POSIX character set.
    """
    if len(text) > _TEXT_CHARS_MAX:
        return None
    folded = _folded(text)
    if not folded or folded.replace("_", "-") in _AUTO_WORDS:
        return AUTO
    plain = re.sub(r"\s*\(.*\)$", "", folded)  # "english (united states)"
    if code := _CODES_BY_NAME.get(folded) or _CODES_BY_NAME.get(plain):
        return code
    return _code_of_tag(re.split("[.@]", plain)[0])  # a locale: ko_KR.UTF-8, de_DE@euro


def _code_of_tag(tag: str) -> str | None:
    first, *others = re.split(r"\s*[-_]\s*", tag)
    if others and all(_SUBTAG.fullmatch(part) for part in others):
        if _CODES.get(first) == "zh" and others[0] == "yue":  # extended language subtag of RFC 5646
            return "yue"
        return _CODES.get(first) or _CODES_BY_NAME.get(first)
    first, *others = tag.split(" ")
    if all(_REGION_OR_SCRIPT.fullmatch(part) for part in others):
        return _CODES.get(first) or _CODES_BY_NAME.get(first)
    return None


def language_for(code: str, known: Collection[str]) -> str | None:
    """The code for a model that has the languages `known`; None if it has neither this nor a similar one."""
    if code == AUTO or code in known:
        return code
    instead = _FALLBACKS.get(code)
    return instead if instead in known else None


WITHOUT_SPACES = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})
"""Written without spaces between words: texts of neighbouring windows are joined without a space."""


def name_of(code: str) -> str:
    """The English name in lower case; the code itself if there is no name."""
    return NAMES.get(code, code)
