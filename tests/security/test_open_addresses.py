"""A server that others can reach asks for a token, whatever way they reach it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from host_stt_cli.config import ConfigMistakes, load
from host_stt_cli.errors import StartError
from host_stt_cli.logs import StrikeSecrets
from tests.support import forked
from tests.support.server import ROOT

EXPOSING = {
    "media.trusted_proxies": "[127.0.0.1]",
    "media.announce": "[192.0.2.7]",
    "media.allowed_origins": "['http://localhost:3000', 'https://wall.example']",
}
ENGINES = "engine.allowed_origins=['https://wall.example']"
HOWTOS = ("behind-nginx.md", "behind-caddy.md")


@pytest.mark.net
@pytest.mark.parametrize(
    ("command", "key"),
    [*(("check", key) for key in EXPOSING), ("serve", "media.trusted_proxies"), ("media", "media.announce")],
)
def test_a_server_that_others_reach_through_loopback_needs_a_token(
    tmp_path: Path, command: str, key: str
) -> None:
    done = forked.run(command, "--set", f"{key}={EXPOSING[key]}", "--set", "media.port=0", cwd=tmp_path)
    assert done.returncode == 2
    (sentence,) = done.stderr.strip().splitlines()
    assert key in sentence
    assert "no auth.token is set" in sentence
    assert not (tmp_path / "data").exists(), "the server ended before it listened"


@pytest.mark.parametrize("key", EXPOSING)
@pytest.mark.parametrize(
    "said",
    ["auth=none", "auth.token=long-enough", "auth.tokens=[{name: a, token: long-enough, role: viewer}]"],
)
def test_a_token_or_auth_none_is_accepted(key: str, said: str) -> None:
    load(None, [f"{key}={EXPOSING[key]}", said]).config.refuse_open("media")


def test_a_page_of_another_machine_at_8081_needs_a_token_too() -> None:
    with pytest.raises(StartError, match=r"^engine\.allowed_origins names https://wall\.example"):
        load(None, [ENGINES]).config.refuse_open("engine")
    for said in ("auth=none", "auth.token=long-enough"):
        load(None, [ENGINES, said]).config.refuse_open("engine")
    load(None, ["engine.allowed_origins=['http://localhost:3000']"]).config.refuse_open("engine")


@pytest.mark.parametrize(
    "said",
    ["media.announce=[127.0.0.1]", "media.allowed_origins=['http://localhost:3000', 'http://[::1]:1']"],
)
def test_addresses_of_this_machine_alone_need_no_token(said: str) -> None:
    load(None, [said]).config.refuse_open("media")


@pytest.mark.parametrize("name", HOWTOS)
def test_the_settings_of_the_proxy_howtos_start_with_a_token_alone(tmp_path: Path, name: str) -> None:
    howto = (ROOT / "docs" / "howto" / name).read_text(encoding="utf-8")
    file = tmp_path / "host-stt.yaml"
    file.write_text(howto.partition("```yaml\n")[2].partition("```")[0], encoding="utf-8")
    config = load(file, environ={"HOST_STT_TOKEN": "correct horse"}).config
    config.refuse_open("media")
    assert config.asks_token
    for environ in ({}, {"HOST_STT_TOKEN": ""}, {"HOST_STT_TOKEN": " "}):
        with pytest.raises(ConfigMistakes, match="HOST_STT_TOKEN"):
            load(file, environ=environ)


@pytest.mark.parametrize(
    "said",
    [
        "auth.token='${T}'",
        "auth.token=${T}",
        "auth.token=",
        "auth.tokens=[{name: a, token: '${T}', role: viewer}]",
        "media.ice_servers=[{urls: ['turn:a'], secret: '${T}'}]",
        "media.ice_servers=[{urls: ['turn:a'], username: x, credential: '${T}'}]",
        "store.url='${T}'",
    ],
)
def test_a_secret_that_came_out_empty_is_a_mistake(said: str) -> None:
    with pytest.raises(ConfigMistakes, match="is empty"):
        load(None, [said], environ={"T": ""})


@pytest.mark.parametrize("token", ["x", "sevench", "        ", " trailing1 ", "tab\tinside"])
@pytest.mark.parametrize("key", ["auth.token={}", "auth.tokens=[{{name: a, role: viewer, token: {}}}]"])
def test_a_token_that_is_short_or_blank_is_a_mistake(key: str, token: str) -> None:
    with pytest.raises(ConfigMistakes) as caught:
        load(None, [key.format(f'"{token}"')])
    assert f'"{token}"' not in str(caught.value)


@pytest.mark.parametrize("token", ["x7", "s3cret", "correct-horse-battery"])
def test_a_token_of_any_length_is_struck_out_of_the_log(token: str) -> None:
    record = logging.LogRecord("a", logging.INFO, "a.py", 1, "it said %s", (token,), None)
    assert StrikeSecrets("media", "", token).format(record).endswith("it said ***")
