"""How commands are answered, for tests that ask what somebody may do."""

from collections.abc import Awaitable

import pytest

from bot.client import CommandFailed


async def answer_to(command: Awaitable[object]) -> str:
    """`ok`, or the error's code."""
    try:
        await command
    except CommandFailed as failed:
        return failed.code
    return "ok"


async def refusal(command: Awaitable[object]) -> CommandFailed:
    """The error that a command is answered with; `ok` fails the test."""
    with pytest.raises(CommandFailed) as failed:
        await command
    return failed.value
