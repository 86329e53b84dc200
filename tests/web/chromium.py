"""The Chromium of this machine, driven from here: Debian's, or whatever there is."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-port=0",
)
MISSING = "no Chromium here: as root, `make test` installs it; else: sudo apt-get install chromium fonts-noto-cjk"


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[str | None]:
    """The address at which it can be driven while inside, its profile in `folder`; None where there is none."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        yield None
        return
    browser = subprocess.Popen(
        [found, *_OPTIONS, f"--user-data-dir={folder}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    assert browser.stderr is not None
    try:
        for line in browser.stderr:
            if said := re.search(r"DevTools listening on (ws://\S+)", line):
                break
        else:
            raise RuntimeError(f"{found} ended with {browser.wait()} before it could be driven")
        yield said[1]
    finally:
        browser.terminate()
        browser.wait(10)
        browser.stderr.close()
