from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from webrtc_host.glossary.entries import PromptTerms, Snapshot
from webrtc_host.glossary.mistakes import GlossaryError
from webrtc_host.glossary.schema import ENTRIES_MAX
from webrtc_host.glossary.store import REFUSED_COPY, Glossary, GlossaryConflict
from webrtc_host.glossary.yaml_file import FILE_BYTES_MAX

FULL: dict[str, Any] = {
    "version": 1,
    "terms": [{"canonical": "알파-1", "channels": ["C01", "C02"]}, {"canonical": "Gate 7"}],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "glossary.yaml"


def test_terms_of_a_channel_feed_its_prompt_in_the_files_order() -> None:
    glossary = Glossary()
    assert glossary.prompt_for("C01") == PromptTerms((), 0)
    assert glossary.replace(FULL) == 1
    assert glossary.prompt_for("C01").terms == ("알파-1", "Gate 7")
    assert glossary.prompt_for("C03").terms == ("Gate 7",)
    assert glossary.prompt_for("C03").version == 1


def test_the_whole_schema_is_kept_through_disk_and_back(path: Path) -> None:
    Glossary(path).replace(FULL)
    again = Glossary(path)
    again.load()
    assert again.as_dict() == FULL
    assert yaml.safe_load(path.read_text(encoding="utf-8")) == FULL
    assert "알파-1" in path.read_text(encoding="utf-8")


def test_a_missing_or_empty_file_is_an_empty_list(path: Path) -> None:
    glossary = Glossary(path)
    glossary.load()
    assert glossary.as_dict() == {"version": 1}
    path.write_text("")
    glossary.load()
    assert glossary.version == 1, "the same list keeps its version"
    assert glossary.prompt_for("C01").terms == ()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "not a mapping"),
        ({"version": 2}, "version"),
        ({"terms": [{"canonical": ""}]}, "terms[0].canonical"),
        ({"terms": [{"canonical": "a\nb"}]}, "control character"),
        ({"terms": [{"canonical": "x" * 201}]}, "terms[0].canonical"),
        (
            {"terms": [{"canonical": "A", "channels": ["C1"]}]},
            "terms[0].channels[0] (term 'A'): a channel is C01",
        ),
        (
            {"terms": [{"canonical": "A", "aliasses": ["a"]}]},
            "terms[0].aliasses (term 'A'): is not a key of the glossary here; did you mean `aliases`?",
        ),
        ({"terms": [{"canonical": "A"}, {"canonical": "a"}]}, "'a' is in the list twice"),
        ({"terms": [{"canonical": f"T{i}"} for i in range(ENTRIES_MAX + 1)]}, "terms: has more than 4000"),
    ],
)
def test_a_list_that_does_not_validate_says_where_and_changes_nothing(
    path: Path, body: Any, says: str
) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)
    before = path.read_bytes()
    with pytest.raises(GlossaryError) as caught:
        glossary.replace(body)
    assert says in str(caught.value)
    assert glossary.version == 1
    assert glossary.prompt_for("C01").terms == ("알파-1", "Gate 7")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"terms: [", "not valid YAML"),
        (b"\xff\xfe\xff", "not valid YAML"),
        (b"terms: 3", "terms"),
        (b"terms:", "terms: should be a list"),
        (b"words:", "words: is not a key of the glossary here; the keys here are version, defaults,"),
        (b" " * (FILE_BYTES_MAX + 1), "over the limit"),
    ],
)
def test_a_broken_file_keeps_the_old_list_and_is_named(path: Path, content: bytes, says: str) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)
    path.write_bytes(content)
    with pytest.raises(GlossaryError) as caught:
        glossary.load()
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert glossary.version == 1


def test_when_the_disk_refuses_the_old_list_stays_and_nothing_is_left_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)

    def full(_: str, __: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        glossary.replace({"terms": []})
    assert glossary.prompt_for("C03").terms == ("Gate 7",)
    assert sorted(p.name for p in path.parent.iterdir()) == ["glossary-versions", "glossary.yaml"]
    assert glossary.version == 1


def test_readers_see_one_list_or_the_other_while_it_is_replaced() -> None:
    glossary = Glossary()
    lists: list[dict[str, Any]] = [
        {"terms": [{"canonical": name + str(i)} for i in range(200)]} for name in ("a", "b")
    ]
    glossary.replace(lists[0])
    before = glossary.version
    is_done = threading.Event()

    def change() -> None:
        for i in range(60):
            glossary.replace(lists[(i + 1) % 2])
        is_done.set()

    thread = threading.Thread(target=change)
    thread.start()
    versions = []
    while not is_done.is_set():
        prompt = glossary.prompt_for("C01")
        versions.append(prompt.version)
        assert len({term[0] for term in prompt.terms}) == 1
    thread.join()
    assert versions == sorted(versions)
    assert glossary.version == before + 60


def edit(path: Path, text: str, times: int = 1) -> None:
    """Write the file as an editor does; `times`: another time of change for each call in a test."""
    path.write_text(text, encoding="utf-8")
    stamp = path.stat().st_mtime_ns + times * 1_000_000
    os.utime(path, ns=(stamp, stamp))


def test_a_changed_file_is_used_once_it_has_settled(path: Path) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)
    assert glossary.reload() is None, "its own file is no change"
    edit(path, "terms: [{canonical: Bravo-2}]\n")
    assert glossary.reload() is None, "an editor may still be writing"
    version = glossary.reload()
    assert version is not None
    assert (version.version, version.by, version.terms) == (2, "file", 1)
    assert glossary.prompt_for("C01").terms == ("Bravo-2",)
    assert glossary.reload() is None


def test_a_changed_file_with_a_mistake_keeps_the_list_and_is_trouble_until_it_is_corrected(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)
    edit(path, "terms:\n- canonical: A1\n  clas: code\n")
    glossary.reload()
    assert glossary.reload() is None
    trouble = glossary.trouble
    assert trouble is not None
    assert trouble.startswith("the glossary file is not in use; version 1 stays: ")
    assert f"{path}:3: terms[0].clas (term 'A1'): is not a key of the glossary here" in trouble
    assert glossary.prompt_for("C01").terms == ("알파-1", "Gate 7")
    assert [record.levelname for record in caplog.records if record.getMessage() == trouble] == ["WARNING"]
    edit(path, "terms:\n- canonical: A1\n  class: code\n", 2)
    glossary.reload()
    assert glossary.reload() is not None
    assert glossary.trouble is None


def test_a_request_keeps_a_copy_of_the_editors_file_with_a_mistake(path: Path) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)
    edit(path, "terms: 3\n")
    glossary.replace({"terms": []})
    assert path.with_name(REFUSED_COPY).read_text() == "terms: 3\n"
    assert glossary.trouble is None


def test_two_who_start_from_one_version_cannot_overwrite_each_other(path: Path) -> None:
    glossary = Glossary(path)
    start = glossary.replace(FULL)
    glossary.replace({"terms": [{"canonical": "Bravo-2"}]}, base_version=start, by="kim")
    with pytest.raises(
        GlossaryConflict, match=r"is now version 2, changed by kim at .*starts from version 1"
    ):
        glossary.replace({"terms": []}, base_version=start, by="lee")
    assert glossary.prompt_for("C01").terms == ("Bravo-2",)
    assert glossary.replace({"terms": []}, by="a script") == 3, "without a version nothing is compared"


def test_a_request_does_not_overwrite_a_change_of_the_file_that_it_does_not_know(path: Path) -> None:
    glossary = Glossary(path)
    start = glossary.replace(FULL)
    edit(path, "terms: [{canonical: Bravo-2}]\n")
    with pytest.raises(GlossaryConflict, match="changed by file"):
        glossary.replace({"terms": []}, base_version=start)
    assert glossary.prompt_for("C01").terms == ("Bravo-2",)


def test_a_version_keeps_its_number_and_its_list_over_a_restart(path: Path) -> None:
    first = Glossary(path)
    first.replace(FULL)
    first.replace({"terms": [{"canonical": "Bravo-2"}]}, by="kim")
    again = Glossary(path)
    again.load()
    assert again.version == 2
    assert [(one.version, one.by) for one in again.versions.all()] == [(1, "request"), (2, "kim")]
    assert "알파-1" in (again.versions.text(1) or "")
    assert again.replace(FULL) == 3, "also an earlier list gets a number of its own"


def test_only_the_newest_texts_of_versions_are_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webrtc_host.glossary.versions.VERSIONS_KEPT", 2)
    glossary = Glossary(path)
    for name in "ABC":
        glossary.replace({"terms": [{"canonical": name}]})
    assert [glossary.versions.text(n) is not None for n in (1, 2, 3)] == [False, True, True]
    assert len(glossary.versions.all()) == 3


def test_a_stage_that_cannot_use_a_list_keeps_the_old_one(path: Path) -> None:
    glossary = Glossary(path)
    glossary.replace(FULL)
    before = path.read_bytes()

    def fail(_: Snapshot) -> None:
        raise RuntimeError("no")

    glossary.prepare.append(fail)
    with pytest.raises(RuntimeError):
        glossary.replace({"terms": []})
    assert (glossary.version, path.read_bytes()) == (1, before)


def test_stages_get_a_list_before_it_is_used() -> None:
    glossary = Glossary()
    seen: list[tuple[int, int]] = []
    glossary.prepare.append(lambda snapshot: seen.append((snapshot.version, glossary.version)))
    glossary.replace(FULL)
    assert seen == [(1, 0)]
