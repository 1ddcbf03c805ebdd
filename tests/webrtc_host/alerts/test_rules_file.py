"""The file of the rules: edited by people and by requests, never lost, never half used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.server import ROOT
from webrtc_host.alerts.rules import parse, version_of
from webrtc_host.alerts.rules_file import RulesConflict, RulesFile

RULE = {"name": "mayday", "when": "terms", "terms": ["mayday"]}


def loaded(path: Path) -> RulesFile:
    rules = RulesFile(path)
    rules.load()
    return rules


def test_a_saved_list_is_there_after_a_restart(tmp_path: Path) -> None:
    rules = loaded(tmp_path / "alerts.yaml")
    rules.replace(parse({"rules": [{**RULE, "terms": ["메이데이"]}]}), version_of(rules.current))
    assert loaded(tmp_path / "alerts.yaml").current == rules.current
    assert "메이데이" in (tmp_path / "alerts.yaml").read_text(encoding="utf-8")


def test_an_edited_file_is_used_at_the_second_look_at_the_same_content(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    rules = loaded(path)
    path.write_text(
        "rules:\n- name: No\n  when: terms\n  terms: [mayday]\n  quiet:\n  - {from: 22:00, to: 06:00}\n"
    )
    assert [rules.reload(), rules.reload(), rules.reload()] == [False, True, False]
    assert rules.current.rules[0].name == "No"
    assert rules.current.rules[0].is_quiet(23 * 60)


def test_the_example_of_the_documentation_is_accepted(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "howto" / "alerts.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n", 1)[1].split("```", 1)[0]
    path = tmp_path / "alerts.yaml"
    path.write_text(example, encoding="utf-8")
    assert [one.name for one in loaded(path).current.rules] == ["mayday", "ambulance", "tower is silent"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", "not valid YAML"),
        ("rules:\n- name: x\n  when: pattern\n  pattern: '('\n", "rule 'x', pattern"),
        ("- 1", "not a mapping"),
    ],
)
def test_an_invalid_file_keeps_the_rules_before_it(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "alerts.yaml"
    rules = loaded(path)
    rules.replace(parse({"rules": [RULE]}), None)
    path.write_text(text)
    assert not rules.reload() and not rules.reload()
    assert [rule.name for rule in rules.current.rules] == ["mayday"]
    assert says in str(rules.trouble)


def test_a_change_from_an_old_version_is_refused(tmp_path: Path) -> None:
    rules = loaded(tmp_path / "alerts.yaml")
    base = version_of(rules.current)
    rules.replace(parse({"rules": [RULE]}), base)
    with pytest.raises(RulesConflict, match=version_of(rules.current)):
        rules.replace(parse({}), base)


def test_a_request_does_not_overwrite_an_editors_change_that_was_not_read_yet(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    rules = loaded(path)
    base = version_of(rules.current)
    path.write_text("rules:\n- {name: mine, when: activity}\n")
    with pytest.raises(RulesConflict):
        rules.replace(parse({"rules": [RULE]}), base)
    assert [rule.name for rule in rules.current.rules] == ["mine"]
