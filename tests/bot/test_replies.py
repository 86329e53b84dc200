"""Whatever goes wrong is told as what it is: what passes with when to come again, a mistake of ours as that."""

import logging
from datetime import UTC, datetime

import orjson
import pytest
from redis._parsers import BaseParser
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from bot.participant import Participant, Role
from bot.redis.link import Overloaded
from bot.replies import error_frame
from cards.texts import Locale

WHO = Participant(
    role=Role.BUYER, id="lin-wan", shop_id="nanshan", name="林晚", expires=datetime(2030, 1, 1, tzinfo=UTC)
)


def told(error: Exception) -> tuple[str, int | None]:
    frame = orjson.loads(error_frame("id", error, WHO, Locale.EN))
    return frame["code"], frame.get("retry_after_ms")


@pytest.mark.parametrize(
    "answer",
    [
        "OOM command not allowed when used memory > 'maxmemory'. script: 5c4b, on @user_script:31.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN Hash slot not served",
        "READONLY You can't write against a read only replica. script: 5c4b, on @user_script:31.",
        "NOREPLICAS Not enough good replicas to write. script: 5c4b, on @user_script:31.",
        "MISCONF Errors writing to the AOF file: No space left on device. script: 5c4b, on @user_script:31.",
        "TRYAGAIN Multiple keys request during rehashing of slot",
    ],
)
def test_what_passes_is_told_with_when_to_come_again(answer: str) -> None:
    error = BaseParser.parse_error(answer)
    assert isinstance(error, RedisError)
    code, retry_ms = told(error)
    assert code == "store_away"
    assert 500 <= retry_ms <= 4500


def test_a_lost_connection_and_a_full_link_pass_too() -> None:
    assert told(Disconnected("no reply"))[0] == "store_away"
    assert told(TimeoutError())[0] == "store_away"
    assert told(Overloaded("more than 20000 calls in flight"))[0] == "busy"


def test_those_who_failed_together_are_not_told_to_come_back_together() -> None:
    """Seen to fail with one pause for all."""
    assert len({told(Disconnected("no reply"))[1] for _ in range(200)}) > 100


@pytest.mark.parametrize(
    "answer",
    ["ERR user_script:31: attempt to index a nil value", "WRONGTYPE Operation against a key", "CROSSSLOT Keys"],
)
def test_a_mistake_of_a_script_is_ours_and_is_logged(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    """Seen to fail with every answer of a server's told as `store_away`: clients came again and again."""
    assert told(BaseParser.parse_error(answer)) == ("internal", None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
