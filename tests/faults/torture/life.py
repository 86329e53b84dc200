"""What people take as it comes: answers that say no, and answers that never come.

Law: nobody goes home because of a fault. What nobody foresaw is raised, and ends the run loudly.
"""

from collections.abc import Awaitable

from bot.client import CommandFailed, Refused
from bot.transcript import Frame
from cards.errors import LINE_CODES, ORDER_CODES

LIFE = (
    ORDER_CODES
    | LINE_CODES
    | {
        "already_settled",
        "old_version",
        "not_current_agent",
        "not_the_buyer",
        "agents_only",
        "unknown_conversation",
        "unknown_proposal",  # shown, and lost by a failover before it was acknowledged
        "reminded_already",
        "conversation_taken",
        "transfer_to_self",
        "open_cards",
        "unseen_message",
        "too_many_open",
        "agent_full",
    }
)
"""Codes of errors that happen to people who hurry, race, pry or come late."""
NO_ANSWER: Frame = {"type": "gave_up"}


async def live(act: Awaitable[Frame]) -> Frame:
    """The command's `ok`, or its `error`, or NO_ANSWER when its person gave up. Raises what nobody foresaw."""
    try:
        return await act
    except CommandFailed as failed:
        if failed.code not in LIFE:
            raise
        return failed.problem
    except Refused:
        raise
    except (TimeoutError, ConnectionError):
        return NO_ANSWER
