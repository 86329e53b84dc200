"""What commands need of the environment: settings that are fit to run with, or one part of them."""

import os
from typing import Any

from bot.cli.failure import MISUSED, Failure
from bot.settings import Settings, load_settings


def read_settings(**given: Any) -> Settings:
    """All settings, those `given` and not None before the environment's. Raises BadSettings, and Failure (2)."""
    settings = load_settings(**given)
    if not settings.redis_url:
        raise _no_redis()
    return settings


def secret() -> str:
    """ASSENT_SECRET. Raises BadSettings."""
    return load_settings().secret


def redis_url() -> str:
    """REDIS_URL. Raises Failure (2) where there is none."""
    if url := os.environ.get("REDIS_URL") or os.environ.get("ASSENT_REDIS_URL"):
        return url
    raise _no_redis()


def _no_redis() -> Failure:
    return Failure(
        "REDIS_URL is not set: it names the server that keeps the conversations, e.g. redis://127.0.0.1:6379/0. "
        "To look around without one: python -m bot demo",
        MISUSED,
    )
