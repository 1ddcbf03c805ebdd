"""Play a recording through the speech pipeline of the media server, faster than real time.

The code is the live one from the speech detector to the merge, with a real engine process behind it; WebRTC,
the record and the event stream are left out. Time is the audio's own: the next 100 ms are given once every
window that was asked has its result. So results do not depend on the machine's load, and times say how long
text waits for audio, not for the processor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from bench.speech.clips import Recording
from bench.speech.line import heard
from bench.speech.played import Listener, Played
from bench.speech.stepped_review import SteppedReview
from host_stt.contract import SAMPLE_RATE, Float32Array
from host_stt_cli.errors import StartError
from host_stt_cli.loadtest.measures import Arrived
from webrtc_host.events import Event
from webrtc_host.glossary.entries import PromptTerms
from webrtc_host.seams import SAMPLES_PER_MS, Block, Transcriber, ms_of
from webrtc_host.speech.ids import Ids
from webrtc_host.speech.pipeline import ChannelPipeline
from webrtc_host.speech.settings import SpeechConfig
from webrtc_host.speech.transcriber import EngineClient, TranscriberConfig
from webrtc_host.transcript.event_codec import wire_fields

CHANNEL = "C01"
BLOCK_SAMPLES = SAMPLE_RATE // 10
POLL_S = 0.001


@dataclass(slots=True)
class _Sink:
    """Keeps events with the audio time at which they came."""

    now_samples: int = 0
    arrived: list[Arrived] = field(default_factory=list)
    review: SteppedReview | None = None

    def clock(self) -> float:
        return self.now_samples / SAMPLE_RATE

    def emit(self, event: Event) -> int | None:
        fields = {"type": event.kind.value, "channel": event.channel, **wire_fields(event)}
        self.arrived.append(Arrived(self.now_samples / SAMPLES_PER_MS, fields))
        if self.review:
            self.review.observe(event)
        return len(self.arrived) if event.kind.is_stored else None


class _NoTerms:
    def prompt_for(self, channel: str) -> PromptTerms:
        return PromptTerms((), 0)


class SteppedPipeline(ChannelPipeline):
    """The pipeline without its task: each step runs to its end before the next begins."""

    async def step(self, block: Block) -> None:
        self._handle(self._analysis.decide(self._analysis.analyse([block]), self._clock()))
        await self._answers()

    async def end(self) -> None:
        self._handle(self._analysis.flush(self._clock()))
        await self._answers()
        await self.close()

    async def _answers(self) -> None:
        while self._requests.in_flight:  # noqa: ASYNC110  # a count of tasks; this is a bench
            await asyncio.sleep(POLL_S)


class Stepper:
    """Plays recordings one after the other, each on a channel of its own."""

    def __init__(
        self,
        transcriber: Transcriber,
        config: SpeechConfig,
        *,
        has_interims: bool,
        opus_kbps: int = 0,
        has_review: bool = False,
    ) -> None:
        """opus_kbps: bit rate of the codec that the recordings pass; 0: no codec."""
        limit = config.pipeline.interims_in_flight_max if has_interims else 0
        # A decode takes as long as the machine needs, without an effect on the text.
        pipeline = replace(config.pipeline, interims_in_flight_max=limit, interim_deadline_ms=60_000)
        self._config = config.model_copy(update={"pipeline": pipeline})
        self._transcriber = transcriber
        self._ids = Ids()
        self._opus_kbps = opus_kbps
        self._has_review = has_review

    async def play(self, recording: Recording, language: str) -> Played:
        """language: a code, or "auto"."""
        line = heard(recording, self._opus_kbps)
        sink = _Sink()
        review = SteppedReview(self._transcriber, sink.clock) if self._has_review else None
        sink.review = review
        pipeline = SteppedPipeline(
            CHANNEL,
            self._config,
            self._transcriber,
            sink,
            _NoTerms(),
            language,
            None,
            self._ids,
            sink.clock,
        )
        for block in _blocks(line.samples):
            sink.now_samples = block.end_sample
            await pipeline.step(block)
            if review:
                review.step()
        await pipeline.end()
        revisions = await review.revisions(line.samples) if review else {}
        ends_ms = len(line.samples) / SAMPLES_PER_MS
        return Listener(CHANNEL, sink.arrived).played(recording, ms_of(line.lead_samples), ends_ms, revisions)


def _blocks(samples: Float32Array) -> Iterator[Block]:
    for start in range(0, len(samples), BLOCK_SAMPLES):
        yield Block(start, samples[start : start + BLOCK_SAMPLES])


async def play_stepped(
    engine_url: str,
    recordings: Sequence[Recording],
    languages: Sequence[str],
    on_played: Callable[[Recording], None] = lambda recording: None,
    *,
    config: SpeechConfig | None = None,
    has_interims: bool = False,
    opus_kbps: int = 0,
    has_review: bool = False,
) -> list[Played]:
    """What came of each recording. languages: what each one's channel is opened with.

    opus_kbps: bit rate of the codec that the recordings pass; 0: no codec.
    """
    client = EngineClient(TranscriberConfig(url=engine_url))
    await client.start()
    try:
        stepper = Stepper(
            *(client, config or SpeechConfig()),
            has_interims=has_interims,
            opus_kbps=opus_kbps,
            has_review=has_review,
        )
        played = []
        for recording, language in zip(recordings, languages, strict=True):
            played.append(await stepper.play(recording, language))
            on_played(recording)
        return played
    finally:
        await client.close()


def speech_settings(settings: Sequence[str]) -> tuple[SpeechConfig, list[str]]:
    """Settings KEY=VALUE: those of `speech` in force, and the rest, which are the engine's.

    Raises StartError for a setting of `speech` that does not exist or is out of bounds.
    """
    sections: dict[str, dict[str, str]] = {}
    rest: list[str] = []
    for setting in settings:
        key, _, value = setting.partition("=")
        area, *path = key.split(".")
        if area != "speech":
            rest.append(setting)
        elif len(path) != 2:
            raise StartError(f"{setting!r} names no setting; give speech.SECTION.KEY=VALUE.")
        else:
            sections.setdefault(path[0], {})[path[1]] = value
    try:
        return SpeechConfig.model_validate(sections), rest
    except ValueError as error:
        raise StartError(f"{', '.join(settings)}: {error}") from error
