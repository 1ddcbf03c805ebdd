"""Measure the finished model: words, cut phrases, glossary, silence, times.

Each measure returns its figures by name, as text with the counts. The figures for Korean use variants of one
synthesizer, because no other one was available.
"""

import random

import numpy as np

from training.bench import (
    Bench,
    Samples,
    VoiceDraw,
    default_voice,
    held_out_flite,
    held_out_variant,
    trained_voice,
)
from training.corpus import opus_coded
from training.grammar import Language, call_signs, random_canonical_call, written
from training.scoring import Spread, Tally
from training.sounds import clicks, hum, music, noise, tones
from training.synthesis import SAMPLE_RATE

Report = dict[str, str]


def measure_words(bench: Bench, count: int) -> Report:
    """Word and character errors of whole phrases, by voice, after Opus, and in short windows; and errors of
    the detected language.
    """
    report: Report = {}
    groups: list[tuple[str, Language, VoiceDraw]] = [
        ("trained voices", "en", trained_voice("en")),
        ("default voice", "en", default_voice("en")),
        ("held-out espeak-ng variants", "en", held_out_variant("en")),
        ("held-out flite voice", "en", held_out_flite),
        ("trained variants", "ko", trained_voice("ko")),
        ("default voice", "ko", default_voice("ko")),
        ("held-out espeak-ng variants", "ko", held_out_variant("ko")),
    ]
    found = Tally()
    for name, language, voice in groups:
        plain, opus, short, bare = Tally(), Tally(), {5: Tally(), 10: Tally()}, Tally()
        rng = random.Random(f"{name}/{language}")
        for speech in bench.phrases(name, count, language, voice):
            sample = bench.whole(speech, rng)
            plain.add(sample.texts, bench.decode(sample.samples, language)[0], language)
            bare.add(
                sample.texts, bench.decode(sample.samples, language, without_timestamps=True)[0], language
            )
            coded = opus_coded(sample.samples, 32_000)
            text, _, guess = bench.decode(coded, None)
            found.total += 1
            found.errors += guess != language
            opus.add(sample.texts, text if guess == language else bench.decode(coded, language)[0], language)
            for window_s, tally in short.items():
                if len(sample.samples) <= window_s * SAMPLE_RATE:
                    tally.add(sample.texts, bench.decode_short(sample.samples, language, window_s), language)
        prefix = f"{language}, {name}"
        report |= {f"{prefix}, whole": str(plain), f"{prefix}, whole, no timestamps": str(bare)}
        report |= {f"{prefix}, Opus 32 kb/s": str(opus)}
        report |= {f"{prefix}, {window_s} s window": str(tally) for window_s, tally in short.items()}
    report["language wrong, after Opus"] = str(found)
    return report


def measure_cuts(bench: Bench, count: int) -> Report:
    """Phrases cut off at either end, and windows of two to eight phrases."""
    report: Report = {}
    pools: list[tuple[str, Language, VoiceDraw]] = [
        ("trained voices", "en", trained_voice("en")),
        ("held-out espeak-ng variants", "en", held_out_variant("en")),
        ("trained variants", "ko", trained_voice("ko")),
    ]
    for name, language, voice in pools:
        rng = random.Random(f"cut/{name}/{language}")
        for end, at_start in (("start", True), ("end", False)):
            either, strict = Tally(), Tally()
            for speech in bench.phrases(f"cut at {end}/{name}", count, language, voice):
                sample = bench.cut(speech, rng, at_start)
                text = bench.decode(sample.samples, language)[0]
                either.add(sample.texts, text, language)
                strict.add(sample.texts[:1], text, language)
            prefix = f"{language}, {name}, cut at the {end}"
            report |= {prefix: str(either), f"{prefix}, half-heard words counted": str(strict)}
        tally = Tally()
        windows = max(8, count // 4)
        speeches = bench.phrases(f"windows/{name}", windows * 8, language, voice)
        for _ in range(windows):
            sample = bench.window([next(speeches) for _ in range(rng.randint(2, 8))], rng)
            tally.add(sample.texts, bench.decode(sample.samples, language)[0], language)
        report[f"{language}, {name}, windows of several phrases"] = str(tally)
    return report


def measure_glossary(bench: Bench, count: int) -> Report:
    """Errors with a glossary: listed call signs must be in their listed form, unlisted ones as spoken, and no
    listed name may be inserted.
    """
    report: Report = {}
    for language in ("en", "ko"):
        listed, unlisted, inserted, text_errors = Tally(), Tally(), Tally(), Tally()
        rng = random.Random(f"glossary/{language}")
        for speech in bench.phrases("glossary", count, language, trained_voice(language)):
            spoken = call_signs(speech.phrase.text)
            chosen = {sign for sign in spoken.values() if rng.random() < 0.7}
            others = sorted({random_canonical_call(rng) for _ in range(5)} - set(spoken.values()))
            names = [*sorted(chosen), *others]
            rng.shuffle(names)
            sample = bench.whole(speech, rng)
            text = bench.decode(sample.samples, language, hotwords=", ".join(names))[0]
            for words, sign in spoken.items():
                tally, wanted = (listed, sign) if sign in chosen else (unlisted, words)
                tally.total += 1
                tally.errors += wanted not in text
            inserted.total += len(others)
            inserted.errors += sum(sign in text.split() for sign in others)
            text_errors.add((written(speech.phrase.text, chosen),), text, language)
        report |= {
            f"{language}, listed call signs not in listed form": str(listed),
            f"{language}, unlisted call signs not as spoken": str(unlisted),
            f"{language}, names inserted from the list": str(inserted),
            f"{language}, errors of the text with a list": str(text_errors),
        }
    return report


def measure_silence(bench: Bench, seconds: int = 60) -> Report:
    """Words that the model writes for audio without speech."""
    count, rng = seconds * SAMPLE_RATE, np.random.default_rng(7)
    time = np.arange(count, dtype=np.float32) / SAMPLE_RATE
    overtones = np.arange(1, 8)[:, None]
    mains = {hz: (np.sin(2 * np.pi * hz * overtones * time) / overtones).sum(0) for hz in (50, 60)}
    sounds: dict[str, Samples] = {
        "digital silence": np.zeros(count, np.float32),
        "white noise, soft": rng.standard_normal(count, dtype=np.float32) * 0.003,
        "white noise, loud": rng.standard_normal(count, dtype=np.float32) * 0.1,
        "coloured noise": noise(rng, count) * np.float32(0.1),
        "50 Hz hum": (mains[50] * 0.05).astype(np.float32),
        "60 Hz hum": (mains[60] * 0.05).astype(np.float32),
        "60 Hz sine": (np.sin(2 * np.pi * 60 * time) * 0.05).astype(np.float32),
        "1 kHz tone": (np.sin(2 * np.pi * 1000 * time) * 0.1).astype(np.float32),
        "random hum": hum(rng, count) * np.float32(0.1),
        "keyed tones": tones(rng, count) * np.float32(0.1),
        "clicks": clicks(rng, count) * np.float32(0.3),
        "music-like": music(rng, count) * np.float32(0.2),
    }
    report: Report = {}
    for name, sound in sounds.items():
        words = [
            bench.decode(sound, language, without_timestamps=bare)[0]
            for language in ("en", "ko", None)
            for bare in (False, True)
        ]
        counts = [len(text.split()) for text in words]
        report[f"{seconds} s of {name}"] = f"{max(counts)} words" + (
            f": {max(words, key=len)[:60]}" if max(counts) else ""
        )
    return report


def measure_times(bench: Bench, count: int) -> Report:
    """Errors of phrase and word times against the synthesizers' own marks, for one phrase and for several."""
    return _times(bench, count, several=False) | _times(bench, count // 3, several=True)


def _times(bench: Bench, count: int, *, several: bool) -> Report:
    spreads = {name: Spread() for name in ("start, stamp", "end, stamp", "start", "end", "inner start")}
    name = "several" if several else "one"
    rng, right = random.Random(name), 0
    speeches = bench.phrases(f"times/{name}", count * 6, "en", trained_voice("en"))
    for _ in range(count):
        chosen = [next(speeches) for _ in range(rng.randint(2, 6) if several else 1)]
        sample = bench.window(chosen, rng) if several else bench.whole(chosen[0], rng)
        text, segments, _ = bench.decode(sample.samples, "en")
        if text != sample.texts[0] or len(segments) != len(sample.phrases):
            continue  # wrong words have no times to compare
        right += 1
        _, timed, _ = bench.decode(sample.samples, "en", word_timestamps=True)
        words = iter([word for segment in timed for word in segment.words])
        for segment, phrase, start in zip(segments, sample.phrases, sample.starts_s, strict=True):
            end = start + len(phrase.samples) / SAMPLE_RATE
            # Not `segment.start`: faster-whisper sets it to 0 if the window has a single segment.
            spreads["start, stamp"].add(bench.first_stamp_s(segment.tokens), start)
            spreads["end, stamp"].add(segment.end, end)
            heard = [next(words) for _ in phrase.word_starts]
            spreads["start"].add(heard[0].start, start)
            spreads["end"].add(heard[-1].end, end)
            for word, first in zip(heard[1:], phrase.word_starts[1:], strict=True):
                spreads["inner start"].add(word.start, start + first / SAMPLE_RATE)
    titles = {
        "start, stamp": "phrase start, timestamp token",
        "end, stamp": "phrase end, timestamp token",
        "start": "phrase start, first word by align",
        "end": "phrase end, last word by align",
        "inner start": "starts of the other words by align",
    }
    prefix = f"{name} in the window ({right} of {count} read right)"
    return {f"{prefix}: {titles[key]}": str(spread) for key, spread in spreads.items()}
