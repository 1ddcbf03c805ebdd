import io
from typing import Any

import numpy as np
import pytest

from bench.rivals import ours, table, whisper_live_kit, write_torch_weights
from bench.rivals.screens import Screen, UtteranceTimes, figures, utterance_times
from bench.rivals.whisper_live import Segments
from host_stt.models import STARTER_FOLDER
from host_stt_cli.loadtest.measures import Arrived, Spoken

ONE = Spoken("C01", 1000, 3000, "alpha one hold at gate seven over")
TWO = Spoken("C01", 5000, 7000, "alpha one return to base over")


def only(spoken: Spoken, screens: list[Screen]) -> UtteranceTimes:
    (one,) = utterance_times([spoken], screens)
    return one


# --- when a phrase stood there --------------------------------------------------------------------------


def test_the_last_word_counts_when_it_is_first_shown_and_final_text_when_it_is_final() -> None:
    whole = "alpha one hold at gate seven over"
    screens = [Screen(1800, "", "Alpha"), Screen(3400, "", whole), Screen(9000, whole)]
    one = only(ONE, screens)
    assert (one.first_ms, one.last_ms, one.final_ms, one.words, one.of) == (1800, 3400, 9000, 7, 7)


def test_a_phrase_in_one_segment_with_the_next_is_found_in_it() -> None:
    both = "alpha one hold at gate seven over alpha one return to base over"
    one, two = utterance_times([ONE, TWO], [Screen(4000, ONE.text), Screen(8000, both)])
    assert (one.last_ms, two.last_ms) == (4000, 8000)


def test_words_that_both_phrases_hold_do_not_bring_the_second_before_it_is_read() -> None:
    _, two = utterance_times(
        [ONE, TWO], [Screen(4000, ONE.text), Screen(6000, ONE.text + " "), Screen(8500, "")]
    )
    assert two.is_lost
    _, two = utterance_times([ONE, TWO], [Screen(6000, ONE.text), Screen(8500, f"{ONE.text} {TWO.text}")])
    assert two.first_ms == two.last_ms == 8500


def test_nothing_is_there_before_it_was_said() -> None:
    assert only(TWO, [Screen(4000, TWO.text)]).first_ms is None


def test_a_phrase_nobody_showed_is_lost_and_one_misread_word_loses_none() -> None:
    assert only(ONE, []).is_lost
    assert only(ONE, [Screen(4000, "seven")]).is_lost
    misread = only(ONE, [Screen(4000, "alpha nine hold at gate seven over")])
    assert (misread.is_lost, misread.words, misread.last_ms) == (False, 6, 4000)


def test_a_case_counts_what_was_lost_and_measures_what_came() -> None:
    found = figures(utterance_times([ONE, TWO], [Screen(3500, ONE.text)]), [("a b", "a c")], "en")
    assert (found["utterances"], found["lost"], found["last_word_ms"]["n"]) == (2, 1, 1)
    assert found["last_word_ms"]["p50"] == 500
    assert found["accuracy"]["rate"] == 0.5


# --- what the peers send -------------------------------------------------------------------------------


def segment(start: str, text: str, *, completed: bool) -> dict[str, Any]:
    return {"start": start, "end": start, "text": text, "completed": completed}


def test_whisper_live_repeats_its_completed_segments_and_each_is_kept_once() -> None:
    transcript = Segments()
    assert transcript.take([segment("0.000", " one", completed=False)]) == ("", "one")
    first = segment("0.000", " one", completed=True)
    assert transcript.take([first, segment("1.000", " two", completed=False)]) == ("one", "two")
    # The first has left the latest ten; the transcript keeps it.
    assert transcript.take([segment("1.000", " two", completed=True)]) == ("one two", "")


def test_whisper_live_kit_sends_lines_with_silent_ones_between_and_a_buffer() -> None:
    lines = [{"speaker": 1, "text": " one"}, {"speaker": -2, "text": ""}, {"speaker": 1, "text": "two "}]
    assert whisper_live_kit.state({"lines": lines, "buffer_transcription": " three"}) == ("one two", "three")
    assert whisper_live_kit.state({"type": "ready_to_stop"}) is None


def event(kind: str, start_ms: int, text: str, utterance: str = "u1", channel: str = "C01") -> dict[str, Any]:
    return {
        "type": f"segment.{kind}",
        "channel": channel,
        "start_ms": start_ms,
        "utterance": utterance,
        "text": text,
    }


def test_ours_shows_an_interim_until_its_final_and_finals_in_their_order() -> None:
    arrived = [
        Arrived(1, event("interim", 0, "al")),
        Arrived(2, event("interim", 0, "alpha")),
        Arrived(3, event("final", 900, "two", "u2")),
        Arrived(4, event("final", 0, "alpha one")),
        Arrived(5, event("final", 0, "other", channel="C02")),
    ]
    assert ours.screens("C01", arrived) == [
        Screen(1, "", "al"),
        Screen(2, "", "alpha"),
        Screen(3, "two", "alpha"),
        Screen(4, "alpha one two", ""),
    ]


# --- the table ----------------------------------------------------------------------------------------


def case(server: str, last_ms: float, cpu: float) -> dict[str, Any]:
    found = figures(utterance_times([ONE], [Screen(ONE.end_ms + last_ms, ONE.text)]), [("a", "a")], "en")
    return {"server": server, "channels": 4, **found, "cpu_percent": cpu, "rss_mb": 100}


def test_ratios_are_to_ours_with_as_many_channels() -> None:
    cases = [case("Peer", 4000, 150.0), case(table.OURS, 500, 50.0)]
    row = table.ratios(cases)[-1]
    assert row == "| Peer | 4 | 2.4 | 8.0 | 8.0 | 8.0 | 3.0 |"


def test_a_case_that_was_not_run_says_why_and_has_no_ratio() -> None:
    cases = [{"server": "Peer", "channels": 4, "not_run": "it ended"}, case(table.OURS, 500, 50.0)]
    assert "not run: it ended" in table.rows(cases)[2]
    assert table.ratios(cases) == [*table.RATIO_HEAD]


def test_the_weights_of_ctranslate2_get_the_names_of_openai() -> None:
    with (STARTER_FOLDER / "model.bin").open("rb") as file:
        variables = write_torch_weights.read_variables(file)
    size = write_torch_weights.dimensions(variables)
    state = write_torch_weights.openai_names(variables)
    width = size["n_audio_state"]
    assert state["encoder.conv1.weight"].shape == (width, size["n_mels"], 3)
    assert state["decoder.token_embedding.weight"].shape == (size["n_vocab"], width)
    for block in range(size["n_text_layer"]):
        joined = variables[f"decoder/layer_{block}/attention/linear_1/weight"]
        parts = [state[f"decoder.blocks.{block}.cross_attn.{part}.weight"] for part in ("key", "value")]
        assert (np.concatenate(parts) == joined).all()
        assert f"decoder.blocks.{block}.cross_attn.key.bias" not in state
    assert not [name for name in state if name.startswith(f"decoder.blocks.{size['n_text_layer']}")]


def test_another_version_of_the_format_is_refused() -> None:
    with pytest.raises(ValueError, match="binary version 7; this script reads 6"):
        write_torch_weights.read_variables(io.BytesIO(b"\7\0\0\0"))
