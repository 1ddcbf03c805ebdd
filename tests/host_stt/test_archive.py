"""Models as one file: written here, carried, added there; and files that are something else."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from host_stt.archive import export_model
from host_stt.errors import ModelDamaged, ModelError
from host_stt.manifest import MANIFEST, written
from host_stt.models import STARTER_FOLDER, add_model, find_model, list_models
from tests.support.small_disk import small_disk

FILES = ("config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json")


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    file = tmp_path / "mine.tar"
    export_model("mine", STARTER_FOLDER, file)
    return file


def test_a_model_goes_through_a_file_unchanged(exported: Path, tmp_path: Path) -> None:
    added = add_model(exported, tmp_path / "models")
    assert find_model("mine", tmp_path / "models") == added
    assert {file.name for file in added.iterdir()} == set(FILES)
    for name in FILES:
        assert (added / name).read_bytes() == (STARTER_FOLDER / name).read_bytes()


def test_an_exported_model_can_be_added_under_another_name(exported: Path, tmp_path: Path) -> None:
    assert add_model(exported, tmp_path / "models", "yours").name == "yours"


def test_the_same_model_gives_the_same_file(exported: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(STARTER_FOLDER, copy)
    export_model("mine", copy, tmp_path / "again.tar")
    assert (tmp_path / "again.tar").read_bytes() == exported.read_bytes()


def test_an_existing_file_is_not_overwritten(exported: Path) -> None:
    with pytest.raises(ModelError, match="exists already"):
        export_model("mine", STARTER_FOLDER, exported)


def test_a_full_disk_leaves_no_incomplete_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 512) as disk:
        with pytest.raises(OSError, match="No space"):
            export_model("mine", STARTER_FOLDER, disk / "mine.tar")
        assert list(disk.iterdir()) == []


# --- files that are not whole, or not ours ------------------------------------------------------------------

Members = list[tuple[tarfile.TarInfo, bytes]]


def members(file: Path) -> Members:
    with tarfile.open(file) as archive:
        return [(info, (archive.extractfile(info) or io.BytesIO()).read()) for info in archive]


def rewritten(file: Path, change: Callable[[Members], Members]) -> Path:
    """The archive with its members changed, sizes in their headers set right."""
    changed = change(members(file))
    with tarfile.open(file, "w") as archive:
        for info, data in changed:
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def with_manifest(all_members: Members, **changes: Any) -> Members:
    (info, data), *others = all_members
    return [(info, json.dumps({**json.loads(data), **changes}).encode()), *others]


def with_entry(all_members: Members, **changes: Any) -> Members:
    """The first file's entry in the manifest changed."""
    files = json.loads(all_members[0][1])["files"]
    return with_manifest(all_members, files=[{**files[0], **changes}, *files[1:]])


def renamed(all_members: Members, name: str) -> Members:
    *others, (info, data) = all_members
    info.name = name
    return [*others, (info, data)]


def linked(all_members: Members) -> Members:
    *others, (info, _) = all_members
    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
    return [*others, (info, b"")]


def spoiled(all_members: Members) -> Members:
    *others, (info, data) = all_members
    return [*others, (info, bytes([data[0] ^ 1]) + data[1:])]


CHANGES: dict[str, tuple[Callable[[Members], Members], str]] = {
    "no manifest": (lambda m: m[1:], "no manifest comes first"),
    "manifest last": (lambda m: [*m[1:], m[0]], "no manifest comes first"),
    "no JSON": (lambda m: [(m[0][0], b"{"), *m[1:]], "not a manifest"),
    "a list": (lambda m: [(m[0][0], b"[]"), *m[1:]], "not a manifest"),
    "another format": (lambda m: with_manifest(m, format="x 9"), "its format is 'x 9'"),
    "no files": (lambda m: with_manifest(m, files=None), "not a manifest"),
    "a name that climbs": (lambda m: with_manifest(m, name="../../up"), "cannot be a model's name"),
    "a file that climbs": (lambda m: with_entry(m, name="../up"), "not a file of a model"),
    "a size that is none": (lambda m: with_entry(m, size_bytes="9"), "the size of"),
    "a negative size": (lambda m: with_entry(m, size_bytes=-1), "the size of"),
    "a hash that is none": (lambda m: with_entry(m, sha256="zz"), "the sha256 of"),
    "a file twice in the manifest": (
        lambda m: with_manifest(m, files=[json.loads(m[0][1])["files"][0]] * 2),
        "named twice",
    ),
    "a file twice": (lambda m: [*m, m[-1]], "does not name"),
    "a file too many": (lambda m: [*m, *renamed(members_like(m), "notes.txt")], "does not name"),
    "a path that climbs": (lambda m: renamed(m, "../../etc/x"), "does not name"),
    "a link": (linked, "bytes, not|not a regular file"),
    "other bytes": (spoiled, "is not what its manifest says"),
    "fewer bytes": (lambda m: [*m[:-1], (m[-1][0], m[-1][1][:-1])], "bytes, not"),
    "a file too few": (lambda m: m[:-1], "is cut off: it lacks"),
}


def members_like(all_members: Members) -> Members:
    """One more member of the same kind."""
    return [(tarfile.TarInfo("more"), b"more")]


@pytest.mark.parametrize("kind", CHANGES)
def test_an_archive_with_changed_content_is_refused(exported: Path, tmp_path: Path, kind: str) -> None:
    change, sentence = CHANGES[kind]
    with pytest.raises(ModelError, match=sentence):
        add_model(rewritten(exported, change), tmp_path / "models")
    assert [model.name for model in list_models(tmp_path / "models")] == ["starter"]
    assert not list((tmp_path / "models").glob("*.adding"))


@pytest.mark.parametrize("kept", [0, 100, 700, 2000, 100_000, -2000])
def test_a_file_that_is_cut_short_is_refused(exported: Path, tmp_path: Path, kept: int) -> None:
    data = exported.read_bytes()
    end = kept if kept >= 0 else len(data) - 30_000
    exported.write_bytes(data[:end])
    with pytest.raises(ModelDamaged, match="is cut off|unexpected end|host-stt model export"):
        add_model(exported, tmp_path / "models")


def test_a_file_that_is_not_an_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04" + bytes(2000))
    with pytest.raises(ModelDamaged, match="is not a model that `host-stt model export` wrote"):
        add_model(tmp_path / "model.zip", tmp_path / "models")


def test_the_manifest_lists_the_model_files_of_a_folder(tmp_path: Path) -> None:
    shutil.copytree(STARTER_FOLDER, tmp_path / "copy")
    (tmp_path / "copy" / "notes.txt").write_text("not ours")
    stated = json.loads(written("mine", tmp_path / "copy"))
    assert sorted(entry["name"] for entry in stated["files"]) == sorted(FILES)
    assert MANIFEST not in FILES
