import io
import itertools

import av
import numpy as np
import pytest

from host_stt.contract import Float32Array
from tests.support.audio_files import decoded
from tests.support.opus_packets import MS, encoded, packet_at
from tests.support.speech import padded, say
from webrtc_host.archive import ogg
from webrtc_host.archive.encoding import RunEncoder
from webrtc_host.archive.playing import ogg_file
from webrtc_host.seams import Block, OpusPacket


def shift_of(heard: Float32Array, said: Float32Array) -> tuple[int, float]:
    """(the delay of `heard` against `said` in samples, the correlation at this delay)."""
    n = len(said) + len(heard)
    cross = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(said, n)), n)
    at = int(cross.argmax())
    strength = float(cross[at] / (np.linalg.norm(heard) * np.linalg.norm(said)))
    return (at - n if at > n // 2 else at), strength


@pytest.mark.parametrize("start", [0, 50, 16_000, 1_234_567])
def test_encoded_audio_is_played_at_its_time(start: int) -> None:
    said = padded(say("alpha one proceed to gate seven"))
    packets = encoded(said, start)
    assert all(a.end_sample == b.start_sample for a, b in itertools.pairwise(packets))
    heard = decoded(ogg_file(packets, start, start + len(said)), 60)
    shift, strength = shift_of(heard, said)
    first_ms = max(0, 104 - start) // MS  # there is no audio before sample 0
    assert abs(shift) <= (first_ms + 1) * MS
    assert strength > 0.9
    assert abs(len(heard) - len(said)) <= MS


def test_a_block_at_another_place_does_not_belong_to_the_run() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        RunEncoder(0).feed(Block(320, np.zeros(320, np.float32)))


@pytest.mark.parametrize(("from_ms", "to_ms"), [(0, 2000), (333, 1777), (1001, 1040), (5, 2600)])
def test_any_range_is_played_exactly_to_the_sample(from_ms: int, to_ms: int) -> None:
    said = np.pad(say("alpha one proceed to gate seven"), (0, 48_000))[: 3000 * MS]
    packets = encoded(said)
    whole = decoded(ogg_file(packets, 0, 3000 * MS), 60)
    part = decoded(ogg_file(packets, from_ms * MS, to_ms * MS), 60)
    assert abs(len(part) - (to_ms - from_ms) * MS) <= MS
    if len(part) > 1000:
        shift, strength = shift_of(part, whole[from_ms * MS : to_ms * MS])
        assert abs(shift) <= 1
        assert strength > 0.98  # the decoder had 80 ms to converge


def test_a_gap_is_silence_and_later_audio_keeps_its_time() -> None:
    first, second = say("alpha one"), say("bravo two")
    second_at = 5003 * MS + 5
    packets = [*encoded(first), *encoded(second, second_at)]
    end = second_at + len(second)
    heard = decoded(ogg_file(packets, 0, end), 60)
    assert abs(len(heard) - end) <= MS
    assert not heard[3000 * MS : 4900 * MS].any()
    shift, strength = shift_of(heard[3000 * MS :], np.pad(second, (second_at - 3000 * MS, 0)))
    assert abs(shift) <= 3 * MS
    assert strength > 0.85


def test_a_range_without_any_packet_is_silence_of_its_length() -> None:
    heard = decoded(ogg_file([], 7 * MS, 1507 * MS), 60)
    assert abs(len(heard) - 1500 * MS) <= 2
    assert not heard.any()


def test_a_packet_that_is_stored_twice_is_played_once() -> None:
    packets = [packet_at(ms) for ms in (0, 20, 20, 40, 40, 60)]
    heard = decoded(ogg_file(packets, 0, 80 * MS), 60)
    assert abs(len(heard) - 80 * MS) <= 2


def test_the_exported_file_has_the_archived_packets() -> None:
    packets = encoded(say("alpha one proceed to gate seven"))
    file = ogg_file(packets, 0, packets[-1].end_sample, {"SESSION": "s_1"})
    kept = [payload for page in ogg.read(file) for payload in page.packets][2:]
    assert kept == [packet.payload for packet in packets]
    with av.open(io.BytesIO(file)) as container:
        assert container.streams[0].metadata["SESSION"] == "s_1"


def test_a_stereo_recording_is_played_in_stereo_and_mono_in_mono() -> None:
    """A player of a mono file adds the sides; two sides in opposite phase would give silence."""
    stereo, mono = b"\xfc\xff\xfe", b"\xf8\xff\xfe"
    for payload, channels in ((mono, 1), (stereo, 2)):
        packets = [OpusPacket(320 * number, 320, payload) for number in range(10)]
        head = next(ogg.read(ogg_file(packets, 0, 3200))).packets[0]
        assert head.startswith(b"OpusHead") and head[9] == channels
