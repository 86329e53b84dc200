"""Pictures of the screens, taken while a negotiation of the demo is played: each in zh and en, light and dark.

    PYTHONPATH=. python tests/web/screenshots.py [folder, dist/screenshots if none is named]

The demo runs on a private Valkey in a folder of its own, which is gone afterwards; the simulated buyers never wait.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.web.chromium import MISSING, chromium
from tests.web.demo import Demo
from tests.web.phone import Phone
from tests.web.screens import DESK, PHONE
from tests.web.workbench import Workbench

_ORDER = "QM1023"
_SECOND = "QM1027"
_LIMIT_MS = 15_000


class Album:
    """Pages in both languages, and the folder that their pictures go to."""

    def __init__(self, browser: Browser, demo: Demo, folder: Path) -> None:
        self._browser = browser
        self._demo = demo
        self._folder = folder

    async def pages(self, path: str, **options: object) -> dict[str, Page]:
        """The same page in each language."""
        return {locale: await self._page(path, locale, **options) for locale in ("zh-CN", "en")}

    async def _page(self, path: str, locale: str, **options: object) -> Page:
        context = await self._browser.new_context(
            **{"locale": locale, "timezone_id": "Asia/Shanghai", "reduced_motion": "reduce", **options}
        )
        context.set_default_timeout(_LIMIT_MS)
        await context.add_init_script(f"localStorage.setItem('assent:locale', '{locale}')")
        page = await context.new_page()
        await page.goto(self._demo.url + path)
        return page

    async def take(self, name: str, pages: dict[str, Page]) -> None:
        """A picture of each, light and dark."""
        for locale, page in pages.items():
            for scheme in ("light", "dark"):
                await page.emulate_media(color_scheme=scheme)
                file = self._folder / f"{name}-{locale[:2]}-{scheme}.png"
                await page.screenshot(path=file, animations="disabled")
                print(file)
            await page.emulate_media(color_scheme="light")


async def play(album: Album, demo: Demo) -> None:
    """The negotiation, and when it is worth a picture."""
    desks = await album.pages(f"/workbench#token={demo.tokens['xiaoyu']}", viewport=DESK)
    phones = await album.pages(
        f"/chat#token={demo.tokens['lin-wan']}", viewport=PHONE, device_scale_factor=2, has_touch=True
    )
    workbench, phone = Workbench(desks["zh-CN"]), Phone(phones["zh-CN"])
    await expect(workbench.list.locator(".list-item")).to_have_count(8)
    await workbench.turn_to("林晚")
    await desks["en"].get_by_role("button", name="林晚 ").first.click()
    await workbench.say("您好！可以的，炭灰 M 码有货，价格也一样，我这就帮您申请修改。")
    await expect(phone.log).to_contain_text("我这就帮您申请修改")
    for page in desks.values():
        await page.locator(f"[aria-describedby^='why-{_ORDER} ']").click()
        await page.get_by_role("radio", name="墨绿").click(force=True)
        await expect(page.locator(".picker .card")).to_be_visible()
    await album.take("picker", desks)
    for page in desks.values():
        await page.keyboard.press("Escape")

    await workbench.propose(_ORDER, "炭灰")
    await expect(phone.agree).to_be_enabled()
    await album.take("workbench", desks)
    await album.take("phone", phones)
    for page in phones.values():
        await page.locator("[data-action=reject]").click()
    await album.take("phone-asked", phones)
    await phones["zh-CN"].get_by_role("button", name="返回").click()
    await phone.answer("同意")
    await expect(workbench.card(_ORDER, "已同意")).to_be_visible()
    await phone.say("太好了，谢谢！")
    await expect(workbench.log).to_contain_text("太好了，谢谢！")
    await album.take("workbench-agreed", desks)
    await album.take("phone-agreed", phones)
    for page in phones.values():
        await page.locator(".top button:has(.icon)").click()
        await expect(page.get_by_role("dialog").get_by_text(_ORDER)).to_be_visible()
    await album.take("phone-orders", phones)

    await phones["zh-CN"].keyboard.press("Escape")
    await workbench.propose(_SECOND, "雪白")
    stages = await album.pages("/", viewport={"width": 1600, "height": 960})
    for page in stages.values():
        frame = page.frame_locator("#workbench iframe")
        await frame.get_by_role("button", name="林晚 ").first.click()
        await expect(frame.locator(".card").last).to_be_visible()
        await expect(page.frame_locator("#chat iframe").locator(".card").last).to_be_visible()
    await album.take("stage", stages)


async def main(url: str, folder: Path) -> None:
    """Play, and take the pictures."""
    expect.set_options(timeout=_LIMIT_MS)
    async with async_playwright() as playwright, Demo.running(pace=0) as demo:
        browser = await playwright.chromium.connect_over_cdp(url)
        await play(Album(browser, demo, folder), demo)
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default="dist/screenshots", help="where to put them")
    wanted: Path = parser.parse_args().folder
    wanted.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="assent-chromium-", ignore_cleanup_errors=True) as profile,
        chromium(Path(profile)) as driven_at,
    ):
        if driven_at is None:
            raise SystemExit(MISSING)
        asyncio.run(main(driven_at, wanted))
