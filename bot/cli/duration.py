"""Durations as people type them: `30s`, `2h`, `1h30m`; a bare number is seconds."""

import re
from datetime import timedelta

_PARTS = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


def read_duration(text: str) -> timedelta:
    """The duration. Raises ValueError for anything else, and for none at all (`0s`); its message is for people."""
    found = _PARTS.fullmatch(text.strip().lower())
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups()) if found else (0.0, 0.0, 0.0, 0.0)
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        duration = timedelta(0)
    if duration <= timedelta(0):
        raise ValueError(f"{text!r} is no duration: write it like 30s, 15m, 2h or 1h30m")
    return duration


def say_duration(duration: timedelta) -> str:
    """The same in words: `2 hours`, `1 hour 30 minutes`, `30 seconds`."""
    left = duration.total_seconds()
    words = []
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, left = (left, 0.0) if size == 1 else divmod(left, size)
        if count:
            words.append(f"{count:g} {name}{'' if count == 1 else 's'}")
    return " ".join(words)
