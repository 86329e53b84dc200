"""How a command ends that could not do its work: a line for people and an exit status, never a traceback."""

import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from bot.embedded import EmbeddedError
from bot.orders.base import OrderSystemAway
from bot.redis import BadRedisUrl
from bot.server_check import ServerAway, UnfitServer
from bot.shopfile import BadShopFile

log = logging.getLogger(__name__)

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
        return _tell(f"{misuse.format_message()}{_help_hint(misuse)}", getattr(misuse, "exit_code", FAILED))
    except Failure as failure:
        return _tell(str(failure), failure.status)
    except BadRedisUrl as bad:
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


def _help_hint(misuse: typer.TyperException) -> str:
    context = getattr(misuse, "ctx", None)
    return f" See `{context.command_path} --help`." if context is not None else ""
