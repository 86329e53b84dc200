"""Two things happen to a card at once, both decided on the same reading: people are told one outcome.

Every pair meets in both orders. That these tests can fail is tested too: the last ones take a protection out of
commit.lua, and people are told otherwise.
"""

from itertools import combinations_with_replacement

import pytest

from cards.proposal import FINAL
from tests.flows.protections import HOLDS, HOUR, VERSIONS, without
from tests.flows.races import Told, expected, meet
from tests.flows.town import Town

HAPPENINGS = ("agree", "reject", "withdraw", "expire", "invalidate", "transfer")
PAIRS = [
    pair
    for one, other in combinations_with_replacement(HAPPENINGS, 2)
    for pair in dict.fromkeys([(one, other), (other, one)])
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_people_are_told_one_outcome(town: Town, first: str, second: str) -> None:
    """Seen to fail with the protections of commit.lua removed, every time: that is what the tests below do."""
    assert await meet(town, first, second) == expected(first, second)


@pytest.fixture
def less_protected(monkeypatch: pytest.MonkeyPatch, protections: tuple[str, ...]) -> None:
    """commit.lua without these conditions."""
    without(monkeypatch, *protections)


def more_than_once(told: Told) -> bool:
    """Whether the buyer was told two outcomes."""
    return len([state for state in told.buyer if state in FINAL]) > 1


def fails(told: Told, first: str, second: str) -> bool:
    """Whether the assertion of `test_people_are_told_one_outcome` fails."""
    return told != expected(first, second)


@pytest.mark.usefixtures("less_protected")
@pytest.mark.parametrize("protections", [(VERSIONS, HOLDS)], ids=["versions, holds"])
@pytest.mark.parametrize(("first", "second"), [pair for pair in PAIRS if not {"expire", "transfer"} & {*pair}])
async def test_without_the_version_check_people_are_told_two(town: Town, first: str, second: str) -> None:
    told = await meet(town, first, second, patience=0.5)
    assert fails(told, first, second)
    assert more_than_once(told)


@pytest.mark.usefixtures("less_protected")
@pytest.mark.parametrize("protections", [(VERSIONS,)], ids=["versions"])
@pytest.mark.parametrize("second", [what for what in HAPPENINGS if what != "expire"])
async def test_without_the_version_check_the_former_agent_is_told_or_acts(town: Town, second: str) -> None:
    assert fails(await meet(town, "transfer", second, patience=0.5), "transfer", second)


@pytest.mark.usefixtures("less_protected")
@pytest.mark.parametrize("protections", [(VERSIONS, HOLDS, HOUR)], ids=["versions, holds, hour"])
@pytest.mark.parametrize("second", ["agree", "reject", "withdraw"])
async def test_without_any_check_the_deadline_and_an_answer_are_both_told(town: Town, second: str) -> None:
    told = await meet(town, "expire", second, patience=0.5)
    assert fails(told, "expire", second)
    assert more_than_once(told)


@pytest.mark.usefixtures("less_protected")
@pytest.mark.parametrize("protections", [(HOUR,)], ids=["hour"])
async def test_without_the_bounds_of_time_a_late_consent_counts(town: Town) -> None:
    told = await meet(town, "agree", "expire")
    assert fails(told, "agree", "expire")
    assert told.buyer[-1] == "agreed"
