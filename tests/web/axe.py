"""axe-core, which comes with axe-playwright-python; the pages' policy lets no script tag in, so it is evaluated."""

from pathlib import Path

import axe_playwright_python
from playwright.async_api import Page

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_RUN = """() => axe.run(document, { iframes: false, resultTypes: ["violations"] }).then(({ violations }) =>
    violations.filter(({ impact }) => impact === "serious" || impact === "critical")
        .flatMap(({ id, nodes }) =>
            nodes.map(({ html, any }) => `${id}: ${html.slice(0, 160)} ${any[0]?.message ?? ""}`)))"""


async def find(page: Page, what: str) -> list[str]:
    """What axe-core finds serious or critical on a page, light and dark."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        if not await page.evaluate("() => 'axe' in window"):
            await page.evaluate(f"() => {{ {_AXE} }}")
        found += [f"{what}, {scheme}: {each}" for each in await page.evaluate(_RUN)]
    return found
