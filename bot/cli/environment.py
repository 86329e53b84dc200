"""Settings and parts of them from the environment, and what is wrong with them by the variable's name."""

import os
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from bot.cli.failure import MISUSED, Failure
from bot.settings import Settings

SECRET_LENGTH = 32

_NO_SECRET = (
    f"it signs the tokens: {SECRET_LENGTH} or more random characters, the same for every gateway. "
    "For example: export ASSENT_SECRET=$(openssl rand -hex 32)"
)
_NO_REDIS = (
    "REDIS_URL is not set: the server that keeps the conversations, e.g. redis://127.0.0.1:6379/0. "
    "To look around without one: python -m bot demo"
)


def read_settings(**given: Any) -> Settings:
    """The environment's settings, those `given` and not None before them. Raises Failure (2)."""
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except SettingsError as error:
        raise Failure(f"{error}: it must be JSON", MISUSED) from error
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise Failure("\nerror: ".join(_problem(problem) for problem in problems), MISUSED) from error
    if not settings.redis_url:
        raise Failure(_NO_REDIS, MISUSED)
    return settings


def secret() -> str:
    """ASSENT_SECRET. Raises Failure (2)."""
    value = os.environ.get("ASSENT_SECRET", "")
    if len(value) < SECRET_LENGTH:
        raise Failure(_bad_secret(value), MISUSED)
    return value


def redis_url() -> str:
    """REDIS_URL. Raises Failure (2)."""
    if url := os.environ.get("REDIS_URL") or os.environ.get("ASSENT_REDIS_URL"):
        return url
    raise Failure(_NO_REDIS, MISUSED)


def _problem(problem: Any) -> str:
    field = str(problem["loc"][0])
    if field == "secret":
        return _bad_secret("" if problem["type"] == "missing" else problem["input"])
    return f"ASSENT_{field.upper()}: {problem['msg']} (got {problem['input']!r})"


def _bad_secret(value: str) -> str:
    return f"ASSENT_SECRET is {'too short' if value else 'not set'}: {_NO_SECRET}"
