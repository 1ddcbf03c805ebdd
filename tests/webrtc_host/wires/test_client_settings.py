"""The settings for clients of other services: complete, ready to paste, and by configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from webrtc_host.config import DoorsConfig
from webrtc_host.session.channel_seams import DoorKind
from webrtc_host.settings.radio import RadioConfig
from webrtc_host.wires.client_settings import KEY_TEXTS, ClientSettings, KeyPlace, clients_of

BASE = "https://stt.example.org:8443"
RADIO = RadioConfig.model_validate({"simplestream": {"port": 9125}})
WYOMING = {"wyoming": {"enabled": True}}
ALL = clients_of(DoorsConfig.model_validate(WYOMING), RADIO, BASE)
ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs/reference/clients.md"


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_each_example_can_be_pasted(one: ClientSettings) -> None:
    assert "$" not in one.address + one.example.replace("$(date +%s)", "")
    assert one.address.partition("?")[0] in one.example or one.doors in (
        (DoorKind.SIMPLESTREAM,),
        (DoorKind.WYOMING,),
    )
    match one.language:
        case "python":
            compile(one.example, one.id, "exec")
        case "json":
            json.loads(one.example)
        case "xml":
            ElementTree.fromstring(one.example)
        case other:
            assert other in ("bash", "javascript", "text")
    assert ("TOKEN" in one.example) == (one.key is not KeyPlace.NONE)


def test_every_client_of_the_reference_has_settings() -> None:
    rows = [line.split("|")[1] for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    known = words_of(" ".join(client.name for client in ALL))
    assert [row for row in rows[2:] if not words_of(row) & known] == []


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.id)
def test_the_page_has_each_name_in_both_languages(one: ClientSettings) -> None:
    key = f'"connect.name.{one.id}": '
    for language in ("en", "ko"):
        texts = (ROOT / f"demo/connect/strings-{language}.js").read_text(encoding="utf-8")
        lines = [line for line in texts.splitlines() if key in line]
        assert len(lines) == 1
        if language == "en":
            assert lines[0].strip() == f'{key}"{one.name}",'


def test_a_plugin_has_a_line_for_each_protocol_that_is_on() -> None:
    off = {"enabled": False}
    doors = DoorsConfig.model_validate({"assemblyai": off, "openai_realtime": off})
    clients = {client.id: client for client in clients_of(doors, RADIO, BASE)}
    for name in ("livekit", "pipecat-services"):
        assert clients[name].doors == (DoorKind.DEEPGRAM, DoorKind.SPEECHMATICS)
        assert clients[name].example.count("TOKEN") == 2
        assert "assemblyai" not in clients[name].example and "openai" not in clients[name].example


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.lower())) - {"python", "media", "streaming", "browser"}


def test_the_configuration_turns_clients_off() -> None:
    off = {name: {"enabled": False} for name in DoorsConfig.model_fields}
    assert clients_of(DoorsConfig.model_validate(off), RadioConfig(), BASE) == []
    # These two have no client that the reference lists.
    for name in DoorsConfig.model_fields.keys() - {"worker", "conversation"}:
        doors = DoorsConfig.model_validate(WYOMING | {name: {"enabled": False}})
        assert 0 < len(clients_of(doors, RADIO, BASE)) < len(ALL), name


def test_settings_of_the_telephone_and_of_the_udp_port_are_in_the_text() -> None:
    doors = DoorsConfig.model_validate(
        {"telephone": {"auth_token": "secret", "public_url": "wss://calls.example.org/"}}
    )
    radio = RadioConfig.model_validate({"simplestream": {"port": 9125, "host": "0.0.0.0"}})
    clients = {client.id: client for client in clients_of(doors, radio, BASE + "/")}
    assert "telnyx" not in clients
    assert clients["twilio"].key is KeyPlace.SIGNATURE
    assert clients["twilio"].address == "wss://calls.example.org/twilio/C01"
    assert "TOKEN" not in clients["twilio"].example and "secret" not in clients["twilio"].example
    assert clients["simplestream"].address == "stt.example.org:9125 (UDP)"
    assert clients["vosk"].address == "wss://stt.example.org:8443/vosk?token=TOKEN"


def test_each_place_of_the_token_has_its_text_in_the_command_and_on_the_page() -> None:
    assert KEY_TEXTS.keys() == set(KeyPlace)
    texts = (ROOT / "demo/connect/strings-en.js").read_text(encoding="utf-8")
    assert [place for place in KeyPlace if f'"connect.key.{place}"' not in texts] == []
