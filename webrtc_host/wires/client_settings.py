"""The settings that point the clients of other services at this server: one declaration for each client.

`host-stt doctor --clients` prints them, and `GET /api/clients` serves them for the page `/connect`. Only
texts; `client_examples.py` has the longer ones. docs/reference/clients.md says what was tested with each
client. Invariant: a client is listed exactly when the configuration turns its protocol on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from string import Template
from urllib.parse import urlsplit

from webrtc_host.config import DoorsConfig
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.settings.radio import RadioConfig
from webrtc_host.wires import client_examples as examples

TOKEN = "TOKEN"
"""In every example: the place of the server's token."""
WILDCARDS = ("0.0.0.0", "::")


class KeyPlace(StrEnum):
    """Where a client has the token. The page has a text for each in both languages (`connect.key.…`)."""

    API_KEY = "api_key"
    ADDRESS = "address"
    PARAMETER = "parameter"
    SECRET = "secret"
    SIGNATURE = "signature"
    NONE = "none"


KEY_TEXTS = {
    KeyPlace.API_KEY: "as the API key",
    KeyPlace.ADDRESS: "in the address, after token=",
    KeyPlace.PARAMETER: "as the parameter `token` of the stream",
    KeyPlace.SECRET: "your own server asks for a client secret with it; the page gets only the secret",
    KeyPlace.SIGNATURE: "no key: Twilio signs its requests (doors.telephone.auth_token)",
    KeyPlace.NONE: "no key: the port accepts only the addresses that the configuration allows (`allow`)",
}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a person enters in one client."""

    id: str
    name: str
    doors: tuple[DoorKind, ...]
    """The inputs that its audio uses, as in `channel.opened`; empty: whole files, and no channel."""
    address: str
    key: KeyPlace
    language: str  # of the example: python, javascript, json, xml, bash
    example: str
    needs_https: bool = False  # the service or the browser accepts no address without TLS


def clients_of(doors: DoorsConfig, radio: RadioConfig, base: str) -> list[ClientSettings]:
    """The clients that the configuration turns on. base: of this server, such as http://127.0.0.1:8082."""
    base = base.rstrip("/")
    parts = urlsplit(base)
    is_tls = parts.scheme == "https"
    ws, host, port = "wss" if is_tls else "ws", parts.hostname or "", parts.port or (443 if is_tls else 80)
    joined = f"[{host}]" if ":" in host else host
    names = {
        "http": base,
        "ws": base.replace("http", "ws", 1),
        "wss": f"wss://{parts.netloc}{parts.path}",
        # For a client that joins a scheme, a host and a port by itself.
        "live": f"{ws}://{joined}:{port}{parts.path}",
        "host": joined,
        "port": f"{port}{parts.path}",
        "is_tls": str(is_tls),
        "udp_host": _host_of(radio.simplestream.host, host),
        "tcp_host": _host_of(doors.wyoming.host, host),
        "tcp_port": str(doors.wyoming.port),
        "udp_port": str(radio.simplestream.port),
        "talkgroup": str(radio.talkgroups[0].talkgroup if radio.talkgroups else 1),
    }
    if doors.telephone.public_url:
        names["wss"] = doors.telephone.public_url.rstrip("/")
    return [
        replace(
            one,
            address=Template(one.address).safe_substitute(names),
            example=Template(one.example).safe_substitute(names).strip("\n"),
        )
        for one in _enabled(doors, radio)
    ]


def _enabled(doors: DoorsConfig, radio: RadioConfig) -> Iterator[ClientSettings]:
    if doors.openai_files.enabled:
        yield OPENAI_FILES
    if doors.openai_realtime.enabled:
        yield from (OPENAI_REALTIME, OPENAI_BROWSER)
    if doors.deepgram.enabled:
        yield DEEPGRAM
    if doors.assemblyai.enabled:
        yield ASSEMBLYAI
    if doors.speechmatics.enabled:
        yield from (SPEECHMATICS, SPEECHMATICS_AGENT)
    yield from _plugins(doors)
    if doors.pipecat.enabled:
        yield PIPECAT
    if doors.telephone.enabled and doors.telephone.auth_token:
        # Telnyx has no such signature, so its calls are refused with this setting.
        yield replace(TWILIO, key=KeyPlace.SIGNATURE, example=examples.TWILIO_SIGNED)
    elif doors.telephone.enabled:
        yield from (TWILIO, TELNYX)
    if doors.vosk.enabled:
        yield VOSK
    if doors.whisperlive.enabled:
        yield WHISPERLIVE
    if doors.wyoming.enabled:
        yield WYOMING
    if doors.radio_uploads.enabled:
        yield from (TRUNK_RECORDER, OPENMHZ, SDRTRUNK, RDIO_SCANNER)
    if radio.simplestream.port:
        yield SIMPLESTREAM


def _plugins(doors: DoorsConfig) -> Iterator[ClientSettings]:
    """The plugins of agent frameworks, each with a line for every protocol that is on."""
    kinds = tuple(
        kind
        for kind, is_on in (
            (DoorKind.DEEPGRAM, doors.deepgram.enabled),
            (DoorKind.ASSEMBLYAI, doors.assemblyai.enabled),
            (DoorKind.OPENAI, doors.openai_realtime.enabled),
            (DoorKind.SPEECHMATICS, doors.speechmatics.enabled),
        )
        if is_on
    )
    if kinds:
        for plugins, lines in ((LIVEKIT, examples.LIVEKIT), (PIPECAT_SERVICES, examples.PIPECAT_SERVICES)):
            example = "\n\n# or\n".join(lines[kind].strip() for kind in kinds)
            yield replace(plugins, doors=kinds, example=example)


def _host_of(port_host: str, host: str) -> str:
    """The address of a port. host: of the HTTP address, where the port listens on all addresses."""
    return host if port_host in WILDCARDS else port_host


OPENAI_FILES = ClientSettings(
    "openai-files",
    "OpenAI: files",
    (),
    "$http/v1",
    KeyPlace.API_KEY,
    "python",
    examples.OPENAI_FILES,
)
OPENAI_REALTIME = ClientSettings(
    "openai-realtime",
    "OpenAI: Realtime transcription",
    (DoorKind.OPENAI,),
    "$http/v1",
    KeyPlace.API_KEY,
    "python",
    examples.OPENAI_REALTIME,
)
OPENAI_BROWSER = ClientSettings(
    "openai-browser",
    "OpenAI: agents-realtime in a browser (WebRTC)",
    (DoorKind.OPENAI,),
    "$http/v1/realtime/calls",
    KeyPlace.SECRET,
    "javascript",
    examples.OPENAI_BROWSER,
    needs_https=True,
)
DEEPGRAM = ClientSettings(
    "deepgram",
    "Deepgram: live (v1, Flux) and files",
    (DoorKind.DEEPGRAM,),
    "$http",
    KeyPlace.API_KEY,
    "python",
    examples.DEEPGRAM,
)
ASSEMBLYAI = ClientSettings(
    "assemblyai",
    "AssemblyAI: streaming v3",
    (DoorKind.ASSEMBLYAI,),
    "$ws",
    KeyPlace.API_KEY,
    "python",
    examples.ASSEMBLYAI,
)
SPEECHMATICS = ClientSettings(
    *("speechmatics", "Speechmatics: real-time v2", (DoorKind.SPEECHMATICS,)),
    "$ws/v2",
    KeyPlace.API_KEY,
    "python",
    examples.SPEECHMATICS,
)
SPEECHMATICS_AGENT = ClientSettings(
    *("speechmatics-agent", "Speechmatics: Agent STT", (DoorKind.SPEECHMATICS,)),
    "$ws/v2/agent",
    KeyPlace.API_KEY,
    "python",
    examples.SPEECHMATICS_AGENT,
)
LIVEKIT = ClientSettings(
    *("livekit", "LiveKit Agents: STT plugins", ()), "$http", KeyPlace.API_KEY, "python", example=""
)
PIPECAT_SERVICES = ClientSettings(
    *("pipecat-services", "pipecat: STT services", ()), "$ws", KeyPlace.API_KEY, "python", example=""
)
PIPECAT = ClientSettings(
    "pipecat",
    "pipecat: SmallWebRTC in a browser",
    (DoorKind.PIPECAT,),
    "$http/api/offer",
    KeyPlace.API_KEY,
    "javascript",
    examples.PIPECAT,
    needs_https=True,
)
TWILIO = ClientSettings(
    "twilio",
    "Twilio: Media Streams",
    (DoorKind.TELEPHONE,),
    "$wss/twilio/C01",
    KeyPlace.PARAMETER,
    "xml",
    examples.TWILIO,
    needs_https=True,
)
TELNYX = ClientSettings(
    "telnyx",
    "Telnyx: media streaming",
    (DoorKind.TELEPHONE,),
    "$wss/telnyx/C01?token=TOKEN",
    KeyPlace.ADDRESS,
    "json",
    examples.TELNYX,
    needs_https=True,
)
VOSK = ClientSettings(
    "vosk",
    "Vosk server",
    (DoorKind.VOSK,),
    "$ws/vosk?token=TOKEN",
    KeyPlace.ADDRESS,
    "bash",
    examples.VOSK,
)
WHISPERLIVE = ClientSettings(
    "whisperlive",
    "WhisperLive",
    (DoorKind.WHISPERLIVE,),
    "$live/whisperlive?token=TOKEN",
    KeyPlace.ADDRESS,
    "python",
    examples.WHISPERLIVE,
)
WYOMING = ClientSettings(
    "wyoming",
    "Home Assistant: Wyoming",
    (DoorKind.WYOMING,),
    "tcp://$tcp_host:$tcp_port",
    KeyPlace.NONE,
    "text",
    examples.WYOMING,
)
TRUNK_RECORDER = ClientSettings(
    "trunk-recorder",
    "trunk-recorder: rdioscanner_uploader",
    (DoorKind.CALL,),
    "$http",
    KeyPlace.API_KEY,
    "json",
    examples.TRUNK_RECORDER,
)
OPENMHZ = ClientSettings(
    "openmhz",
    "trunk-recorder and SDRTrunk: OpenMHz",
    (DoorKind.CALL,),
    "$http",
    KeyPlace.API_KEY,
    "json",
    examples.OPENMHZ,
)
SDRTRUNK = ClientSettings(
    "sdrtrunk",
    "SDRTrunk: Rdio Scanner",
    (DoorKind.CALL,),
    "$http/api/call-upload",
    KeyPlace.API_KEY,
    "text",
    examples.SDRTRUNK,
)
RDIO_SCANNER = ClientSettings(
    "rdio-scanner",
    "rdio-scanner and ThinLine: downstream",
    (DoorKind.CALL,),
    "$http",
    KeyPlace.API_KEY,
    "bash",
    examples.RDIO_SCANNER,
)
SIMPLESTREAM = ClientSettings(
    "simplestream",
    "trunk-recorder: simplestream",
    (DoorKind.SIMPLESTREAM,),
    "$udp_host:$udp_port (UDP)",
    KeyPlace.NONE,
    "json",
    examples.SIMPLESTREAM,
)
