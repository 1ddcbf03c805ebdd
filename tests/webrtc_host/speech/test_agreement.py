from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from host_stt.contract import EndReason, Priority, Segment, Transcript, Word
from host_stt.engines.fake import FakeEngine, script_of
from tests.webrtc_host.speech.helpers import MS, S, texts
from tests.webrtc_host.speech.simulate import speak
from webrtc_host.speech.agreement import Agreement
from webrtc_host.speech.merge import Committed, InterimText, MergeEvent, UtteranceMerge
from webrtc_host.speech.windowing import WindowSpec

WORDS = script_of("alpha one proceed to gate seven and hold there until told over", word_ms=300, pause_ms=100)


def transcript(words: Sequence[Word], avg_logprob: float = -0.2) -> Transcript:
    text = " ".join(word.text for word in words)
    figures = avg_logprob, 0.02, 1.0
    segment = Segment(text, words[0].start_sample, words[-1].end_sample, *figures, tuple(words))
    return Transcript("w", (segment,), "en", 1.0, *figures, EndReason.COMPLETE, "fake")


def fed(agreement: Agreement, words: Sequence[Word], end_sample: int, **figures: float) -> str:
    return texts(agreement.feed(transcript(words, **figures), words, end_sample, 0).words)


def test_words_that_two_interims_have_alike_are_agreed_but_for_the_last_second() -> None:
    agreement = Agreement()
    assert fed(agreement, WORDS[:8], 8 * 400 * MS) == ""
    # The older interim ends at 3.2 s; the word "gate" ends at 1.9 s, "seven" at 2.3 s.
    assert fed(agreement, WORDS[:10], 10 * 400 * MS) == "alpha one proceed to gate"


def test_after_a_commit_the_rest_agrees_further() -> None:
    agreement = Agreement()
    fed(agreement, WORDS[:8], 8 * 400 * MS)
    agreed = agreement.feed(transcript(WORDS), WORDS, 12 * 400 * MS, 0)
    rest, commit = WORDS[agreed.count :], agreed.words[-1].end_sample
    more = agreement.feed(transcript(rest), rest, 14 * 400 * MS, commit)
    assert (texts(agreed.words), texts(more.words)) == ("alpha one proceed to gate", "seven and hold there")


def test_words_from_the_first_difference_on_wait() -> None:
    agreement = Agreement()
    fed(agreement, WORDS[:10], 10 * 400 * MS)
    other = [*WORDS[:5], Word("eleven", WORDS[5].start_sample, WORDS[5].end_sample, 1.0), *WORDS[6:]]
    assert fed(agreement, other, 12 * 400 * MS) == "alpha one proceed to gate"


def test_an_old_difference_is_passed_over_once_both_interims_agree_again() -> None:
    agreement = Agreement()
    fed(agreement, WORDS[:11], 11 * 400 * MS)
    other = [WORDS[0], Word("won", WORDS[1].start_sample, WORDS[1].end_sample, 1.0), *WORDS[2:]]
    # The older interim ends at 4.4 s: a difference before 2.4 s is settled, words before 3.4 s are safe.
    assert fed(agreement, other, 12 * 400 * MS) == "alpha won proceed to gate seven and hold"


def test_the_same_word_at_another_time_is_another_word() -> None:
    agreement = Agreement()
    fed(agreement, WORDS[:10], 10 * 400 * MS)
    later = [Word(w.text, w.start_sample + 600 * MS, w.end_sample + 600 * MS, 1.0) for w in WORDS[:10]]
    assert fed(agreement, later, 12 * 400 * MS) == ""


def test_a_short_beginning_waits_for_more_unless_it_ends_a_sentence() -> None:
    short = WORDS[:5]
    agreement = Agreement()
    fed(agreement, short, 5 * 400 * MS)
    assert fed(agreement, short, 5 * 400 * MS) == "", "0.7 s are safe: too short for a line"
    ended = [WORDS[0], Word("one.", WORDS[1].start_sample, WORDS[1].end_sample, 1.0), *WORDS[2:5]]
    agreement = Agreement()
    fed(agreement, ended, 5 * 400 * MS)
    assert fed(agreement, ended, 5 * 400 * MS) == "alpha one."


def test_a_short_rest_behind_the_end_of_a_sentence_waits_for_more() -> None:
    ended = [*WORDS[:4], Word("gate.", WORDS[4].start_sample, WORDS[4].end_sample, 1.0), *WORDS[5:10]]
    agreement = Agreement()
    fed(agreement, ended, 9 * 400 * MS)
    # "seven" is safe too, but would be a line of one word.
    assert fed(agreement, ended, 10 * 400 * MS) == "alpha one proceed to gate."


@pytest.mark.parametrize("which", ["first", "second"])
def test_an_interim_that_is_unsure_of_itself_agrees_with_nothing(which: str) -> None:
    agreement = Agreement()
    fed(agreement, WORDS[:10], 10 * 400 * MS, avg_logprob=-1.5 if which == "first" else -0.2)
    second = -1.5 if which == "second" else -0.2
    assert fed(agreement, WORDS[:12], 12 * 400 * MS, avg_logprob=second) == ""


def with_word(words: Sequence[Word], n: int, text: str, probability: float = 1.0) -> list[Word]:
    """The words with another one in the place of the nth."""
    return [*words[:n], Word(text, words[n].start_sample, words[n].end_sample, probability), *words[n + 1 :]]


def test_a_number_waits_until_a_word_without_a_figure_follows_it() -> None:
    agreement = Agreement()
    words = with_word(with_word(WORDS, 4, "4"), 5, "8")
    fed(agreement, words[:8], 8 * 400 * MS)
    # "8" is not safe yet: "4" may become "48".
    assert fed(agreement, words[:10], 10 * 400 * MS) == "alpha one proceed to"
    agreement = Agreement()
    words = with_word(WORDS, 4, "4")
    fed(agreement, words[:8], 8 * 400 * MS)
    assert fed(agreement, words[:10], 10 * 400 * MS) == "alpha one proceed to 4"


def test_a_word_that_the_model_is_unsure_of_waits_until_it_is_old() -> None:
    words = with_word(WORDS, 4, "late", probability=0.5)
    agreement = Agreement()
    fed(agreement, words[:8], 8 * 400 * MS)
    assert fed(agreement, words[:10], 10 * 400 * MS) == "alpha one proceed to"
    rest = words[4:]
    # "late" ends at 1.9 s: at 4.8 s it is more than 2.8 s old. "seven" is sure, and "late" may go with it.
    agreed = agreement.feed(transcript(rest), rest, 12 * 400 * MS, words[3].end_sample)
    assert texts(agreed.words) == "late"
    assert agreed.is_disputed


def test_old_words_wait_no_longer_even_if_the_interims_differ_on_all_of_them() -> None:
    agreement = Agreement()

    def spelled(count: int, letter: str) -> str:
        words = [Word(w.text + letter, w.start_sample, w.end_sample, 1.0) for w in WORDS[:count]]
        return fed(agreement, words, count * 400 * MS)

    # At 2.8 s, words up to 0 s are old, at 3.6 s up to 0.8 s. The line is short, but its first word is old.
    assert (spelled(7, "x"), spelled(9, "y")) == ("", "alphay oney")


def test_of_an_old_word_the_likeliest_reading_is_used() -> None:
    agreement = Agreement()
    for count, text, probability in ((9, "won", 0.6), (10, "one", 0.8), (11, "fun", 0.3)):
        fed(agreement, with_word(WORDS, 1, text, probability)[:count], count * 400 * MS)
    agreed = agreement.feed(transcript(WORDS), with_word(WORDS, 1, "run", 0.4), 12 * 400 * MS, 0)
    assert texts(agreed.words) == "alpha one proceed to gate"
    assert (agreed.count, agreed.is_disputed) == (5, True)


def test_an_older_reading_with_a_word_that_is_final_by_now_does_not_bring_it_again() -> None:
    agreement = Agreement()
    older = [Word("cares.", 20 * MS, 440 * MS, 0.99), Word("This", 720 * MS, 1700 * MS, 0.9)]
    newer = [Word("this", 320 * MS, 1700 * MS, 0.4)]
    fed(agreement, [*older, *WORDS[5:]], 11 * 400 * MS)
    words = [*newer, *WORDS[5:]]
    # "cares." is final by now, up to 0.2 s; its time is a little different in each interim.
    agreed = agreement.feed(transcript(words), words, 12 * 400 * MS, 200 * MS)
    assert texts(agreed.words) == "This", "the likeliest reading, without what is said"


def test_old_words_end_only_where_both_interims_end_a_word() -> None:
    """Korean: two interims part one stretch of speech into different words."""
    one = [Word("나", 0, 400 * MS, 0.4), Word("받고", 400 * MS, 900 * MS, 0.4), *WORDS[3:]]
    other = [Word("답하고", 0, 900 * MS, 0.6), *WORDS[3:]]
    agreement = Agreement()
    fed(agreement, one[:5], 3000 * MS)
    # "나" is old, but the other interim has no word that ends with it.
    assert fed(agreement, other[:6], 3400 * MS) == ""
    assert fed(agreement, one[:7], 3700 * MS) == "답하고"


def test_a_first_word_that_overlaps_the_last_final_one_is_not_written_again() -> None:
    agreement = Agreement()
    words = [Word("alphabet", 0, 700 * MS, 1.0), *WORDS[2:]]
    for count in (9, 10, 11):
        agreed = agreement.feed(transcript(words), words, count * 400 * MS, 450 * MS)
        assert agreed.words == (), "the last final word may be a part of it"


def test_interims_without_times_agree_with_nothing() -> None:
    agreement = Agreement()
    segment = Segment("alpha one proceed to gate seven", 0, 3 * S, -0.2, 0.02, 1.0)
    without = Transcript("w", (segment,), "en", 1.0, -0.2, 0.02, 1.0, EndReason.COMPLETE, "fake")
    for end in (4 * S, 5 * S):
        assert agreement.feed(without, WORDS[:6], end, 0).words == ()


# --- through the merge ------------------------------------------------------------------------------------


def waits_s(script: Sequence[Word], engine: FakeEngine) -> tuple[list[float], str]:
    """Seconds from the end of each word to its commit, with an engine that takes no time; and the text."""
    outcome = speak(script, engine)
    return [(at - w.end_sample) / S for at, e in outcome.committed for w in e.words], outcome.text


def test_words_of_unbroken_speech_are_final_within_four_seconds() -> None:
    script = script_of("a b c d e f g h i j k l m n o p q r s t u v w x y z " * 2, S, pause_ms=100)
    late, text = waits_s(script, FakeEngine(script))
    early, same = waits_s(script, FakeEngine(script, interim_words=True))
    assert text == same == texts(script)
    assert max(early) <= 4.0 < max(late)


def window(number: int, start: int, end: int, priority: Priority, *, is_last: bool = False) -> WindowSpec:
    return WindowSpec("u_1", number, start, end, priority, end, end, is_last)


def committed(events: Sequence[MergeEvent]) -> str:
    return " ".join(w.text for e in events if isinstance(e, Committed) for w in e.words)


def test_a_first_word_that_begins_before_the_detector_heard_speech_agrees_too() -> None:
    merge = UtteranceMerge("u_1", 200 * MS)  # in the middle of "alpha"
    for number, count in enumerate((8, 10)):
        end = count * 400 * MS
        events = merge.feed(window(number, 0, end, Priority.INTERIM), transcript(WORDS[:count]))
    assert committed(events) == "alpha one proceed to gate"


def test_a_final_window_never_says_again_what_was_agreed_even_if_it_spells_it_otherwise() -> None:
    merge = UtteranceMerge("u_1", 0)
    for number, count in enumerate((8, 10)):
        end = count * 400 * MS
        events = merge.feed(window(number, 0, end, Priority.INTERIM), transcript(WORDS[:count]))
    assert committed(events) == "alpha one proceed to gate"
    assert (merge.commit_sample, merge.window_commit_sample) == (WORDS[4].end_sample, 0)
    other = [*WORDS[:4], Word("late", WORDS[4].start_sample, WORDS[4].end_sample, 1.0), *WORDS[5:]]
    events = merge.feed(window(0, 0, 12 * 400 * MS, Priority.FINAL, is_last=True), transcript(other))
    assert committed(events) == "seven and hold there until told over"


def test_nothing_says_again_a_word_on_which_the_interims_differed() -> None:
    merge = UtteranceMerge("u_1", 0)
    for number, (count, text) in enumerate(((9, "deux"), (10, "trois"), (11, "vingt"), (12, "cent"))):
        words = [*with_word(WORDS, 4, text, 0.5)[:count]]
        spec = window(number, 0, count * 400 * MS, Priority.INTERIM)
        events = merge.feed(spec, transcript(words))
        said = committed(events)
    assert said == "cent", "of equally likely readings the newest"
    later = with_word(WORDS, 4, "onze")
    events = merge.feed(window(4, 0, 13 * 400 * MS, Priority.INTERIM), transcript(later))
    shown = [event.text for event in events if isinstance(event, InterimText)]
    assert all("onze" not in text for text in [*shown, committed(events)])
    events = merge.feed(window(0, 0, 13 * 400 * MS, Priority.FINAL, is_last=True), transcript(later))
    assert "onze" not in committed(events)


def interims(merge: UtteranceMerge, *readings: tuple[Sequence[Word], int]) -> str:
    """What becomes final while the merge takes interims: their words, and where each window ends (sample)."""
    said = [
        committed(merge.feed(window(number, 0, end, Priority.INTERIM), transcript(words)))
        for number, (words, end) in enumerate(readings)
    ]
    return " ".join(filter(None, said))


def test_final_words_that_an_interim_parts_otherwise_do_not_stop_the_next_ones() -> None:
    """A final window wrote "ill-disposed" as one word; the interims after it write "all disposed"."""
    merge = UtteranceMerge("u_1", 0)
    one = [*WORDS[:3], Word("ill-disposed", 1200 * MS, 1900 * MS, 0.9)]
    final = WindowSpec("u_1", 0, 0, 2 * S, Priority.FINAL, 2 * S, 2 * S)
    assert committed(merge.feed(final, transcript(one))) == "alpha one proceed ill-disposed"
    two = [*WORDS[:3], Word("all", 1200 * MS, 1400 * MS, 0.9), Word("disposed", 1400 * MS, 1880 * MS, 0.9)]
    read = [*two, *WORDS[5:]]
    assert interims(merge, (read, 5 * S), (read, 6 * S)) == "seven and hold there until"


def test_nothing_behind_left_out_speech_becomes_final() -> None:
    """The alignment stretches the next word over speech without words."""
    merge = UtteranceMerge("u_1", 0)
    behind = [Word(w.text, w.start_sample + 5 * S, w.end_sample + 5 * S, 1.0) for w in WORDS[5:9]]
    stretched = [*WORDS[:5], replace(behind[0], start_sample=2 * S), *behind[1:]]
    assert interims(merge, (stretched, 10 * S), (stretched, 11 * S)) == "alpha one proceed to gate"
    assert merge.restart_sample == WORDS[4].end_sample, "the next interim begins with the left-out speech"


def test_interims_begin_anew_behind_the_final_words_when_one_has_no_more_words_than_these() -> None:
    merge = UtteranceMerge("u_1", 0)
    ended = with_word(WORDS[:5], 4, "gate.")
    assert interims(merge, (ended, 3 * S), (ended, 3700 * MS)) == "alpha one proceed to gate."
    assert merge.restart_sample == -1, "what was said since may be one more word"
    merge.feed(window(2, 0, 4400 * MS, Priority.INTERIM), transcript(ended))
    assert merge.restart_sample == ended[4].end_sample
