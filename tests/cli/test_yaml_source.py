from __future__ import annotations

from host_stt_cli.yaml_source import KeyPath, Source, dotted, read_value, read_yaml


def no_text(path: KeyPath) -> bool:
    return False


def read(text: str, **environ: str) -> Source:
    return read_yaml(text, "here.yaml", environ, no_text)


def test_every_key_and_item_has_its_line() -> None:
    source = read("media:\n  port: 1\n\n  announce:\n    - a\n    - b\n")
    assert source.data == {"media": {"port": 1, "announce": ["a", "b"]}}
    assert source.lines["media",] == 1
    assert source.lines["media", "port"] == 2
    assert source.lines["media", "announce", 1] == 6


def test_a_key_without_a_line_is_placed_at_the_nearest_key_around_it() -> None:
    source = read("# first\nmedia:\n  port: 1\n")
    assert source.where(("media", "port", "x")) == "here.yaml:3"
    assert source.where(("media", "nothing")) == "here.yaml:2"
    assert source.where(("nothing",)) == "here.yaml:1"


def test_words_that_yaml_1_1_calls_booleans_stay_words() -> None:
    assert read("a: off\nb: no\nc: yes\nd: true\ne: False\n").data == {
        "a": "off",
        "b": "no",
        "c": "yes",
        "d": True,
        "e": False,
    }


def test_text_that_looks_like_a_number_stays_text_where_text_is_meant() -> None:
    source = read_yaml("token: 0123\nport: 8082\n", "f", {}, lambda path: path == ("token",))
    assert source.data == {"token": "0123", "port": 8082}


def test_a_secret_comes_from_the_environment() -> None:
    source = read("auth:\n  token: ${DESK_TOKEN}-x\n", DESK_TOKEN="s3cret")
    assert source.data == {"auth": {"token": "s3cret-x"}}
    assert source.mistakes == []


def test_a_missing_variable_is_named_with_its_key_and_line() -> None:
    source = read("auth:\n  token: ${DESK_TOKEN}\n")
    assert [str(m) for m in source.mistakes] == [
        "here.yaml:2: auth.token: the environment variable DESK_TOKEN is not set"
    ]


def test_broken_yaml_is_one_mistake_with_its_line() -> None:
    source = read("media:\n  port: [1\nengine: {}\n")
    assert len(source.mistakes) == 1
    assert source.mistakes[0].where == "here.yaml:3"
    assert "not valid YAML" in source.mistakes[0].message


def test_a_control_character_is_a_mistake_not_a_crash() -> None:
    assert "not valid YAML" in read("a: \x00\n").mistakes[0].message


def test_a_file_that_is_not_a_mapping_is_reported() -> None:
    assert read("- a\n- b\n").mistakes[0].message == "the file must contain `key: value` lines"


def test_an_empty_file_is_fine() -> None:
    assert read("").data == {}
    assert read("# nothing but a comment\n").data == {}


def test_a_key_that_stands_twice_is_a_mistake() -> None:
    source = read("media:\n  port: 1\n  port: 2\n")
    assert [str(m) for m in source.mistakes] == [
        "here.yaml:3: media.port is set a second time here; keep one"
    ]


def test_a_key_that_is_a_list_is_a_mistake() -> None:
    assert read("? [a, b]\n: 1\n").mistakes[0].message == "a key must be a plain word"


def test_a_tag_that_asks_for_python_objects_is_refused() -> None:
    source = read("a: !!python/name:os.system x\n")
    assert source.data == {"a": None}
    assert "cannot be read" in source.mistakes[0].message


def test_a_value_of_the_command_line_is_read_as_yaml() -> None:
    path: KeyPath = ("media", "announce")
    assert read_value("[a, 1]", "--set", path, {}, no_text) == (["a", 1], [])
    assert read_value("8090", "--set", path, {}, no_text) == (8090, [])
    assert read_value("", "--set", path, {}, lambda _: True) == ("", [])
    value, mistakes = read_value("[a", "--set media.announce", path, {}, no_text)
    assert value is None
    assert mistakes[0].where == "--set media.announce"


def test_key_paths_are_printed_as_people_write_them() -> None:
    assert dotted(("media", "ice_servers", 0, "urls")) == "media.ice_servers[0].urls"
