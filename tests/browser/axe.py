"""The check of a page with axe-core, by one set of rules for all pages."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

RULES: dict[str, object] = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
}
COLOURS: dict[str, object] = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""All that differs between the dark and the light form of one page."""


async def expect_clean(page: Page, rules: dict[str, object] | None = None) -> None:
    """axe-core finds nothing wrong on the page as it is now."""
    await page.wait_for_timeout(300)  # colours in transition are not the colours that are read
    results = await Axe().run(page, options=rules or RULES)
    assert results.violations_count == 0, results.generate_report()
