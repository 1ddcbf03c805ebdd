"""The glossary page on a real server: edit, mistakes at their fields, two editors, suggestions, versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.axe import expect_clean
from tests.browser.conftest import DESKTOP, PHONE
from tests.support.desk import Desk, a_config, running_desk
from webrtc_host.glossary.schema import as_dict, parse
from webrtc_host.glossary.yaml_file import read_file

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

EXAMPLE = Path(__file__).parents[2] / "config" / "glossary.example.yaml"
START: dict[str, Any] = {
    "terms": [{"canonical": "Alpha-1", "class": "callsign"}, {"canonical": "Gate 7", "channels": ["C01"]}],
    "patterns": [{"base": {"Blue": ["블루"]}, "number": "1-9"}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with running_desk(a_config(tmp_path_factory.mktemp("glossary"))) as desk:
        yield desk


@pytest_asyncio.fixture(loop_scope="session")
async def desk(server: Desk) -> Desk:
    await put(server, START)
    return server


async def put(desk: Desk, body: dict[str, Any]) -> None:
    async with desk.client.put(f"{desk.url}/api/glossary", json=body) as response:
        assert response.status == 200, await response.text()


async def saved(desk: Desk) -> dict[str, Any]:
    return dict((await desk.get("/api/glossary"))[1])


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, desk: Desk) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=DESKTOP, locale="en-GB")
    page = await context.new_page()
    await opened(page, desk)
    yield page
    await context.close()


async def opened(page: Page, desk: Desk) -> None:
    await page.goto(f"{desk.url}/glossary")
    await page.wait_for_selector("html[data-ready]", state="attached")


async def expect_status(page: Page, text: str) -> None:
    await expect(page.locator("#status")).to_contain_text(text)


async def test_a_term_is_added_with_the_keyboard_alone(page: Page, desk: Desk) -> None:
    await page.focus("#add-term")
    await page.keyboard.press("Enter")
    await page.keyboard.type("Tower")  # the new term's first field has the focus
    for _ in range(2):
        await page.keyboard.press("Tab")
    await page.keyboard.type("관제탑")
    await page.keyboard.press("Tab")
    await page.keyboard.type("the tower\n타워")
    await page.keyboard.press("Control+s")
    await expect_status(page, "In use from the next line")
    assert (await saved(desk))["terms"][0] == {
        "canonical": "Tower",
        "display": {"ko": "관제탑"},
        "aliases": ["the tower", "타워"],
    }
    await expect(page.locator("#save")).to_be_disabled()


async def test_what_a_person_does_not_touch_is_saved_as_it_was(page: Page, desk: Desk) -> None:
    await put(desk, (example := parse_example()))
    await opened(page, desk)
    await page.locator("#terms summary").first.click()
    await page.get_by_label("Weight").first.fill("3")
    await page.click("#save")
    await expect_status(page, "In use")
    example["terms"][0]["boost"] = 3
    body = await saved(desk)
    assert {key: body[key] for key in ("defaults", "terms", "patterns")} == {
        key: example[key] for key in ("defaults", "terms", "patterns")
    }


def parse_example() -> dict[str, Any]:
    return as_dict(read_file(EXAMPLE))


async def test_a_pattern_says_how_many_terms_it_makes(page: Page, desk: Desk) -> None:
    await page.click("#add-pattern")
    await page.keyboard.type("Red: 레드\nGold")
    await expect(page.locator("#patterns summary").first).to_contain_text("18 terms: Red-1 … Gold-9")
    await page.click("#save")
    await expect_status(page, "In use")
    assert (await saved(desk))["patterns"][0] == {"base": {"Red": ["레드"], "Gold": []}, "number": "1-9"}
    assert len(parse({**START, "patterns": (await saved(desk))["patterns"]}).entries()) == 2 + 27


async def test_a_mistake_stands_at_its_field_and_the_old_list_stays(page: Page, desk: Desk) -> None:
    await page.locator("#terms summary").nth(1).click()
    await page.get_by_label("Channels").fill("C1")
    await page.click("#save")
    await expect_status(page, "Not saved: 1 mistake")
    field = page.get_by_label("Channels")
    await expect(field).to_be_focused()
    await expect(field).to_have_attribute("aria-invalid", "true")
    wrong = page.locator(".wrong:visible")
    await expect(wrong).to_contain_text("a channel is C01, C02")
    assert str(await wrong.get_attribute("id")) in str(await field.get_attribute("aria-describedby"))
    assert (await saved(desk))["terms"] == START["terms"]
    await field.fill("C02")
    await expect(wrong).to_have_count(0)
    await page.click("#save")
    await expect_status(page, "In use")


async def test_the_file_is_edited_with_its_comments_and_a_mistake_has_its_line(
    page: Page, desk: Desk
) -> None:
    await page.click("[data-view=file]")
    text = "# night shift\nversion: 1\nterms:\n- canonical: Alpha-1\n  clas: code\n"
    await page.fill("#file", text)
    await page.click("#save")
    await expect(page.locator("#mistakes button")).to_contain_text("line 5, Alpha-1")
    await expect(page.locator("#mistakes button")).to_contain_text("did you mean `class`?")
    marked = "(({value, selectionStart: a, selectionEnd: b}) => value.slice(a, b))(document.activeElement)"
    assert await page.evaluate(marked) == "  clas: code"
    await page.fill("#file", text.replace("clas:", "class:"))
    await page.click("#save")
    await expect_status(page, "In use")
    async with desk.client.get(f"{desk.url}/api/glossary/file") as response:
        assert (await response.text()).startswith("# night shift")
    await page.click("[data-view=form]")
    await expect(page.locator("#terms summary")).to_contain_text("Alpha-1")


async def test_the_changes_of_two_people_are_merged_and_the_same_term_is_chosen(
    page: Page, desk: Desk
) -> None:
    await page.locator("#terms summary").first.click()
    await page.get_by_label("Also written as").first.fill("alpha one")
    theirs: dict[str, Any] = {
        **START,
        "terms": [{"canonical": "Alpha-1", "class": "code"}, START["terms"][1], {"canonical": "Echo-9"}],
    }
    await put(desk, theirs)
    await page.click("#save")
    dialog = page.locator("#conflict")
    await expect(dialog).to_be_visible()
    await expect(page.locator("#conflict-theirs li")).to_have_text(["changed Alpha-1", "added Echo-9"])
    await expect(dialog.locator("code")).to_have_text(
        ["class: callsign · aliases: [alpha one]", "class: code"]
    )
    await expect_clean(page)
    assert (await saved(desk))["terms"] == theirs["terms"], (
        "nothing is overwritten before the person has chosen"
    )
    await dialog.get_by_role("button", name="Merge").click()
    await expect_status(page, "Merged with version")
    await page.click("#save")
    await expect_status(page, "In use")
    assert (await saved(desk))["terms"] == [
        {"canonical": "Alpha-1", "class": "callsign", "aliases": ["alpha one"]},
        START["terms"][1],
        {"canonical": "Echo-9"},
    ]


async def test_a_suggestion_is_accepted_and_another_one_dismissed(page: Page, desk: Desk) -> None:
    for old, new in (("this is alpaca one", "this is Alpha-1"), ("to gate heaven", "to Gate 7")):
        body = {"old": old, "new": new}
        async with desk.client.post(f"{desk.url}/api/glossary/suggestions", json=body) as response:
            assert response.status == 200
    await opened(page, desk)
    await page.get_by_role("button", name="Accept: alpaca one").click()
    await expect(page.locator("#suggestions-status")).to_contain_text("is in the glossary now")
    await page.get_by_role("button", name="Dismiss: gate heaven").click()
    await expect(page.locator("#suggestions-status")).to_contain_text("is dismissed")
    await expect(page.locator("#suggestions")).to_contain_text("No suggestions")
    assert (await saved(desk))["terms"][0]["aliases"] == ["alpaca one"]
    assert "gate heaven" not in str(await saved(desk))


async def test_an_earlier_version_is_opened_and_used_again(page: Page, desk: Desk) -> None:
    start = (await saved(desk))["glossary_version"]
    await put(desk, {"terms": []})
    await opened(page, desk)
    await expect(page.locator("#versions li").first).to_be_visible()
    # Each says in words who made it. The oldest listed one is the file's, unless tests before made many more.
    for text in await page.locator("#versions li").all_text_contents():
        assert "An editor of the file" in text or "Another person" in text
    await page.get_by_role("button", name=f"Open version {start}").click()
    await expect_status(page, f"This is version {start}")
    await page.click("#save")
    await expect_status(page, f"version {start + 2}")
    assert (await saved(desk))["terms"] == START["terms"]


async def test_a_draft_is_tried_before_it_is_saved(page: Page, desk: Desk) -> None:
    await page.locator("#terms summary").first.click()
    await page.get_by_label("Also written as").first.fill("alpaca one")
    await page.fill("#try-text", "this is alpaca one, over")
    await page.keyboard.press("Enter")
    await expect(page.locator("#try-status")).to_have_text("Lines that change: 1 of 1.")
    await expect(page.locator("#tried del")).to_have_text("alpaca one,")
    await expect(page.locator("#tried ins")).to_have_text("Alpha-1,")
    assert "aliases" not in (await saved(desk))["terms"][0]


async def test_two_thousand_terms_open_and_are_found(page: Page, desk: Desk) -> None:
    await put(desk, {"terms": [{"canonical": f"Unit-{i}"} for i in range(2_000)]})
    await opened(page, desk)
    await expect(page.locator("#terms details")).to_have_count(200)
    await expect(page.locator("#terms-note")).to_contain_text("1800 more terms")
    await page.fill("#search", "unit-1999")
    await expect(page.locator("#terms summary b")).to_have_text("Unit-1999")


async def test_a_term_is_found_by_its_initial_consonants(page: Page, desk: Desk) -> None:
    terms = [
        {"canonical": "Alpha-1", "aliases": ["알파원"]},
        {"canonical": "강서 소방"},
        {"canonical": "Gate 7"},
    ]
    await put(desk, {"terms": terms})
    await opened(page, desk)
    for typed, found in (("ㅇㅍㅇ", "Alpha-1"), ("ㄱㅅ ㅅㅂ", "강서 소방"), ("gate", "Gate 7")):
        await page.fill("#search", typed)
        await expect(page.locator("#terms summary b")).to_have_text(found)


@pytest.mark.parametrize(("scheme", "locale"), [("dark", "en-GB"), ("light", "ko-KR")])
async def test_it_is_axe_clean_and_fits_a_phone(
    browser: Browser, desk: Desk, scheme: Any, locale: str
) -> None:
    await put(desk, parse_example())
    desk.final("call alpaca one", at_ms=1000)
    context = await browser.new_context(viewport=PHONE, locale=locale, color_scheme=scheme)
    page = await context.new_page()
    await opened(page, desk)
    await page.locator("#terms summary").first.click()
    await page.locator("#patterns summary").first.click()
    await page.locator("#defaults summary").first.click()
    await page.click("#try-run")
    await expect(page.locator("#tried li").first).to_be_visible()
    await expect_clean(page)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.locator("#terms").get_by_role("textbox").first.fill("")
    await page.click("#save")
    await expect(page.locator("#mistakes")).to_be_visible()
    await expect_clean(page)
    await context.close()


async def test_a_file_with_a_mistake_is_a_banner_on_every_page(browser: Browser, tmp_path: Path) -> None:
    async with running_desk(a_config(tmp_path)) as desk:
        context = await browser.new_context(viewport=DESKTOP, locale="en-GB")
        page = await context.new_page()
        (tmp_path / "glossary.yaml").write_text("terms: 3\n", encoding="utf-8")
        await page.goto(f"{desk.url}/watch")
        banner = page.locator("#banners", has_text="The glossary file has a mistake")
        await expect(banner).to_contain_text("terms: should be a list")
        (tmp_path / "glossary.yaml").write_text("terms: []\n", encoding="utf-8")
        await expect(banner).to_have_count(0)
        await context.close()
