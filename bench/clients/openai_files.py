"""openai (Python), unmodified: recordings, transcribed and translated into English."""

from __future__ import annotations

import openai

from bench.clients.place import Outcome, Place, named, words_outcome
from bench.clients.recorded import wav_of

TIMEOUT_S = 120.0


async def check(place: Place) -> list[Outcome]:
    async with openai.AsyncOpenAI(
        base_url=f"{place.url}/v1", api_key=place.key, max_retries=0, timeout=TIMEOUT_S
    ) as client:
        return [await _transcribed(client, place), await _translated(client, place)]


async def _transcribed(client: openai.AsyncOpenAI, place: Place) -> Outcome:
    answer = await client.audio.transcriptions.create(
        model="whisper-1", file=("talk.wav", wav_of(place.talk.samples)), response_format="verbose_json"
    )
    what = f"transcriptions.create, {len(answer.segments or ())} segments"
    return words_outcome(named("openai"), what, place, answer.text)


async def _translated(client: openai.AsyncOpenAI, place: Place) -> Outcome:
    """The talk is English, so its translation is the talk. A model that cannot translate must say so."""
    (model,) = (await client.models.list()).data
    what = "translations.create"
    try:
        answer = await client.audio.translations.create(
            model="whisper-1", file=("talk.wav", wav_of(place.talk.samples)), response_format="verbose_json"
        )
    except openai.NotFoundError as error:
        is_told = error.code == "not_supported" and model.model_dump()["can_translate"] is False
        return Outcome(named("openai"), what, is_told, f"404 {error.code}: {model.id} cannot translate")
    return words_outcome(named("openai"), f"{what}, language {answer.language}", place, answer.text)
