from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from host_stt_cli.addresses import is_loopback, url
from host_stt_cli.config import Config, ConfigMistakes, load
from host_stt_cli.errors import StartError
from host_stt_cli.yaml_source import KeyPath


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "my.yaml"


def mistakes_in(file: Path, text: str, *sets: str, **environ: str) -> list[str]:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigMistakes) as caught:
        load(file, sets, environ=environ)
    return [str(mistake).removeprefix(f"{file}:") for mistake in caught.value.mistakes]


def test_an_empty_file_is_the_defaults(write: Path) -> None:
    write.write_text("", encoding="utf-8")
    assert load(write).config == Config()


def test_a_value_of_set_overrides_the_file(write: Path) -> None:
    write.write_text("media: {port: 1, host: '::1'}\n", encoding="utf-8")
    config = load(write, ["media.port=8090", "engine.model=small", "media.announce=[10.0.0.1]"]).config
    assert (config.media.port, config.media.host) == (8090, "::1")
    assert config.engine.model == "small"
    assert config.media.announce == ("10.0.0.1",)


def test_a_mistyped_key_is_named_with_its_line_and_the_key_that_was_meant(write: Path) -> None:
    assert mistakes_in(write, "media:\n  host: ::1\n  prot: 8082\n") == [
        "3: media.prot: there is no such key; did you mean media.port?"
    ]


def test_a_key_in_the_wrong_section_is_reported_with_the_right_section(write: Path) -> None:
    assert mistakes_in(write, "compute_type: int8\n") == [
        "1: compute_type: there is no such key; did you mean engine.compute_type?"
    ]


def test_every_mistake_is_named_not_only_the_first(write: Path) -> None:
    text = "media:\n  port: 99999\n  hosst: x\nlog:\n  level: loud\nauth: {token: '${NOT_SET}'}\n"
    found = mistakes_in(write, text)
    assert found[0] == "6: auth.token: the environment variable NOT_SET is not set"
    assert "2: media.port: 99999 is not accepted: it should be less than or equal to 65535" in found
    assert "3: media.hosst: there is no such key; did you mean media.host?" in found
    assert any(
        line.startswith("5: log.level: 'loud' is not accepted: it should be 'debug'") for line in found
    )
    assert len(found) == 4


def test_a_mistake_in_a_list_is_found_at_its_item(write: Path) -> None:
    text = "media:\n  ice_servers:\n    - urls: [stun:a.example]\n    - urll: [stun:b.example]\n"
    assert "4: media.ice_servers[1].urll: there is no such key; did you mean media.ice_servers[1].urls?" in (
        mistakes_in(write, text)
    )


def test_mistakes_in_the_times_of_single_channels_are_said_in_words(write: Path) -> None:
    text = "media:\n  no_signal_after_s_of:\n    - {channel: radio, no_signal_after_s: 30}\n"
    text += "    - {channel: C05, no_signal_after_s: 100000}\n    - {channel: C06}\n"
    of = "media.no_signal_after_s_of"
    found = mistakes_in(write, text)
    assert f"3: {of}[0].channel: 'radio' is not a channel; write C01, C02, ..." in found
    assert any(line.startswith(f"4: {of}[1].no_signal_after_s: ") and "86400" in line for line in found), (
        found
    )
    assert any(f"{of}[2].no_signal_after_s" in line for line in found), found
    twice = "{channel: C05, no_signal_after_s: 30}"
    [mistake] = mistakes_in(write, f"media: {{no_signal_after_s_of: [{twice}, {twice}]}}")
    assert mistake == f"1: {of}: C05 stands in this list twice; name each channel once"


def test_a_mistake_in_a_set_is_named_as_it_was_typed(write: Path) -> None:
    assert mistakes_in(write, "", "media.ports=1", "nonsense") == [
        "--set nonsense: write it as --set key.path=value",
        "--set media.ports: media.ports: there is no such key; did you mean media.port?",
    ]


def test_an_ipv6_address_needs_no_quotes_in_a_set(write: Path) -> None:
    write.write_text("", encoding="utf-8")
    for text, host in (("::", "::"), ("fd91::", "fd91::"), ("::1", "::1"), ('"::"', "::")):
        assert load(write, [f"media.host={text}", "auth=none"]).config.media.host == host
    [mistake] = mistakes_in(write, "", "media.host={a: b}")
    assert mistake.startswith("--set media.host: ")


def test_a_wrong_secret_is_not_shown(write: Path) -> None:
    found = mistakes_in(write, "auth: {token: [hush]}\n")
    assert "hush" not in " ".join(found)
    assert found[0].startswith("1: auth.token: ")


def test_auth_accepts_only_the_word_none(write: Path) -> None:
    write.write_text("auth: none\n", encoding="utf-8")
    assert load(write).config.auth == "none"
    assert mistakes_in(write, "auth: nobody\n") == [
        "1: auth: write `auth: {token: ...}`, or `auth: none` to require no token"
    ]


def test_the_token_reaches_the_engine_and_has_no_key_of_its_own_there(write: Path) -> None:
    write.write_text("auth: {token: 01234567}\ndata: {dir: /somewhere}\n", encoding="utf-8")
    engine = load(write).config.engine_in_force()
    assert engine.token is not None
    assert engine.token.get_secret_value() == "01234567"
    assert engine.models_dir == Path("/somewhere/models")
    assert mistakes_in(write, "engine:\n  token: x\n") == [
        "2: engine.token: there is no such key; did you mean auth.token?"
    ]


def test_models_stay_where_the_file_puts_them(write: Path) -> None:
    write.write_text("engine: {models_dir: /shared/models}\n", encoding="utf-8")
    assert load(write).config.engine_in_force().models_dir == Path("/shared/models")


def test_the_choice_of_the_model_counts_terms_where_the_glossary_has_some(
    write: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write.write_text(f"data: {{dir: {data}}}\n", encoding="utf-8")
    assert load(write).config.engine_in_force().terms_expected is False, "the packaged glossary is empty"
    (data / "glossary.yaml").write_text("version: 1\nterms: [{canonical: Alpha-1}]\n", encoding="utf-8")
    assert load(write).config.engine_in_force().terms_expected is True
    write.write_text(f"data: {{dir: {data}}}\nengine: {{terms_expected: false}}\n", encoding="utf-8")
    assert load(write).config.engine_in_force().terms_expected is False, "the setting goes first"


def test_a_glossary_with_a_mistake_does_not_stop_the_engine(write: Path, tmp_path: Path) -> None:
    (tmp_path / "glossary.yaml").write_text("version: 2\n", encoding="utf-8")
    write.write_text(f"data: {{dir: {tmp_path}}}\n", encoding="utf-8")
    assert load(write).config.engine_in_force().terms_expected is False


def test_naming_certificate_files_turns_tls_on(write: Path) -> None:
    write.write_text("tls: {cert: a.pem, key: b.pem}\n", encoding="utf-8")
    assert load(write).config.tls.mode == "files"
    assert load(write, ["tls.mode=off"]).config.tls.mode == "off"
    assert load(None, ["tls.cert=a.pem", "tls.key=b.pem"]).config.tls.mode == "files"
    assert mistakes_in(write, "tls:\n  cert: a.pem\n") == [
        "2: tls.cert is given without tls.key; a certificate needs both tls.cert and tls.key"
    ]


def test_a_certificate_that_tls_mode_does_not_use_is_a_mistake(write: Path) -> None:
    own = (
        "tls.cert is given, and tls.mode is self-signed, which makes its own certificate; "
        "leave one of the two out"
    )
    files = "tls:\n  mode: self-signed\n  cert: a.pem\n  key: b.pem\n"
    assert mistakes_in(write, files) == [f"3: {own}"]
    options: dict[KeyPath, Any] = {("tls", "mode"): "self-signed", ("tls", "cert"): "a.pem"}
    with pytest.raises(StartError, match=f"^the command line: {own}$"):
        load(options=options)
    with pytest.raises(StartError, match="^--set tls.key: tls.key is given, and tls.mode is off; leave one"):
        load(None, ["tls.mode=off", "tls.key=b.pem"])


def test_tls_mode_on_the_command_line_replaces_the_certificate_of_the_file(write: Path) -> None:
    write.write_text("tls: {cert: a.pem, key: b.pem}\n", encoding="utf-8")
    assert load(write, options={("tls", "mode"): "self-signed"}).config.tls.mode == "self-signed"


def test_both_servers_on_one_port_is_a_mistake(write: Path) -> None:
    assert mistakes_in(write, "media: {port: 8081}\n") == ["1: media.port and engine.port are both 8081"]


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_one_sentence(write: Path) -> None:
    write.write_bytes(b"a: \xff\xfe")
    with pytest.raises(StartError, match="is not UTF-8 text"):
        load(write)


def test_the_file_of_this_folder_is_taken_when_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().config == Config()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "host-stt.yaml").write_text("media: {port: 1}\n", encoding="utf-8")
    assert load().config.media.port == 1


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "desk.example"])
def test_an_open_address_without_a_token_is_refused(host: str) -> None:
    with pytest.raises(StartError, match=r"^media\.host is .* no auth\.token is set.*auth=none"):
        load(None, [f"media.host='{host}'"]).config.refuse_open("media")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    load(None, [f"engine.host='{host}'"]).config.refuse_open("engine")


@pytest.mark.parametrize("said", ["auth=none", "auth.token=long-enough"])
def test_a_token_or_the_word_none_opens_any_address(said: str) -> None:
    config = load(None, [said, "media.host=0.0.0.0", "engine.host=0.0.0.0"]).config
    config.refuse_open("media")
    config.refuse_open("engine")


def test_an_address_is_written_as_a_browser_takes_it() -> None:
    assert url("http", "0.0.0.0", 1) == "http://127.0.0.1:1"
    assert url("https", "::", 2) == "https://[::1]:2"
    assert url("http", "desk.example", 3) == "http://desk.example:3"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("media.trusted_proxies=[foo]", "media.trusted_proxies[0]: 'foo' is not an address or a network"),
        ("media.announce=[desk.example]", "media.announce[0]: 'desk.example' is not an IP address"),
        ("media.allowed_origins=[foo]", "media.allowed_origins[0]: 'foo' is not an origin"),
        (
            "media.ice_servers=[{urls: [http:x]}]",
            "media.ice_servers[0].urls[0]: 'http:x' is not a STUN or TURN address",
        ),
        ("media.ice_servers=[{urls: []}]", "media.ice_servers[0].urls: "),
    ],
)
def test_values_that_would_fail_later_are_refused_at_the_start(said: str, sentence: str) -> None:
    with pytest.raises(ConfigMistakes) as caught:
        load(None, [said])
    assert sentence in str(caught.value.mistakes[0])
