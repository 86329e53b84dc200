"""How a command ends that could not do its work: a line for people and an exit status, never a traceback."""

import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from bot.embedded.binary import EmbeddedError
from bot.orders.base import OrderSystemAway
from bot.redis.server_check import ServerAway, UnfitServer
from bot.redis.url import BadRedisUrl
from bot.settings import BadSettings
from bot.shopfile import BadShopFile

FAILED = 1
MISUSED = 2
"""The exit status of a command that was called wrongly, its environment included."""
INTERRUPTED = 130
"""The exit status of a command that a Ctrl-C broke off."""

_SPEAKING = (BadShopFile, EmbeddedError, OrderSystemAway, ServerAway, UnfitServer)
"""Errors whose message is written for the person at the terminal."""


class Failure(Exception):
    """A command can't go on; the message says what is wrong and what to do."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def exit_status(run: Callable[[], Any]) -> int:
    """Run a command line and say on stderr what was wrong with it, if anything; the status to exit with.

    With ASSENT_DEBUG set an error that nobody foresaw shows its traceback.
    """
    try:
        return run() or 0
    except typer.TyperException as misuse:
        # A command line without a command has printed its help, and has no message.
        return _tell(_in_one_line(misuse), misuse.exit_code) if str(misuse) else misuse.exit_code
    except Failure as failure:
        return _tell(str(failure), failure.status)
    except (BadRedisUrl, BadSettings) as bad:
        return _tell(str(bad), MISUSED)
    except _SPEAKING as error:
        return _tell(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("ASSENT_DEBUG"):
            raise
        return _tell(f"{type(error).__name__}: {error} (set ASSENT_DEBUG=1 to see where)")


def _tell(message: str, status: int = FAILED) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)  # noqa: T201
    return status


def _in_one_line(misuse: typer.TyperException) -> str:
    message = " ".join(misuse.format_message().replace("Value error, ", "").split()).rstrip(".")
    context = getattr(misuse, "ctx", None)
    return f"{message}. See `{context.command_path} --help`." if context is not None else f"{message}."
