"""The doors of other services' protocols that the configuration turns on. One line for each protocol."""

from __future__ import annotations

from collections.abc import Callable

from webrtc_host.config import DoorsConfig, MediaConfig
from webrtc_host.doors.push import PushDoor
from webrtc_host.transport.one_port import OnePort
from webrtc_host.wires.assemblyai import AssemblyAiDoor
from webrtc_host.wires.call_opening import CallOpener
from webrtc_host.wires.deepgram import DeepgramDoor
from webrtc_host.wires.openai import RealtimeDoor
from webrtc_host.wires.openai_calls import CallsDoor
from webrtc_host.wires.openai_sideband import Calls
from webrtc_host.wires.openai_site import OpenAiSite, client_secrets
from webrtc_host.wires.pipecat_door import PipecatDoor
from webrtc_host.wires.site import Site
from webrtc_host.wires.speechmatics import SpeechmaticsDoor
from webrtc_host.wires.telephone_door import TelephoneDoor
from webrtc_host.wires.vosk_door import VoskDoor
from webrtc_host.wires.whisperlive_door import WhisperLiveDoor


def made(
    site: Site,
    doors: DoorsConfig,
    push: PushDoor,
    model: Callable[[], str],
    hangover_ms: int,
    media: MediaConfig,
    port: OnePort | None,
) -> list[object]:
    """The services whose routes are added.

    push: transcribes whole recordings into a channel. model: the name of the engine's model. hangover_ms:
    silence that ends an utterance. media, port: for peer connections.
    """
    made: list[object] = []
    opener = CallOpener(site, media, port)
    if doors.speechmatics.enabled:
        made.append(SpeechmaticsDoor(site, model))
    if doors.assemblyai.enabled:
        made.append(AssemblyAiDoor(site, model))
    if doors.deepgram.enabled:
        made.append(DeepgramDoor(site, push, model))
    if doors.openai_realtime.enabled:
        openai, calls = OpenAiSite(site, model, hangover_ms, client_secrets()), Calls()
        made += [RealtimeDoor(openai, calls), CallsDoor(openai, calls, opener)]
    if doors.pipecat.enabled:
        made.append(PipecatDoor(opener))
    if doors.telephone.enabled:
        made.append(TelephoneDoor(site, doors.telephone))
    if doors.vosk.enabled:
        made.append(VoskDoor(site))
    if doors.whisperlive.enabled:
        made.append(WhisperLiveDoor(site))
    return made
