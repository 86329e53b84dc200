"""Lies about what is left over in the end."""

from tests.faults.lies.honest import CHEN, LIN
from tests.faults.lies.run import Run, lie


@lie("timer")
def a_timer_of_a_settled_card(run: Run) -> None:
    run.final.timers[f"expire:{CHEN}:{run.card('timed_out')['id']}"] = run.final.now_ms - 6000


@lie("timer")
def a_timer_of_nothing(run: Run) -> None:
    run.final.timers["nap:xiaoyu"] = run.final.now_ms


@lie("timer")
def a_claim_of_nothing(run: Run) -> None:
    run.final.leases.append("expire:nothing")


@lie("hold")
def an_order_is_held_for_ever(run: Run) -> None:
    run.final.holds[LIN] = {"lin-wan-paid": run.card("agreed")["id"]}


@lie("mark")
def a_card_is_counted_for_ever(run: Run) -> None:
    run.final.marks[LIN]["cards"] = "1"


@lie("mark")
def something_is_unread_for_ever(run: Run) -> None:
    run.final.marks[LIN]["unread:buyer"] = "77"
