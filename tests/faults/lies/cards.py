"""Lies about cards: their outcomes, their causes, and what people are shown of them in a conflict."""

from tests.faults.lies.run import Run, lie


@lie("outcome", "promised")
def another_state_in_the_document(run: Run) -> None:
    run.card("rejected")["state"] = "withdrawn"


@lie("outcome", "effect", "kept", "notice", "cause", "conflict")
def two_outcomes(run: Run) -> None:
    state = {"state": "rejected"}
    run.rewrite(run.logged("applying"), lambda b: b["card"].update(state), lambda f: f["card"].update(state))


@lie("outcome", "notice", "one-open", "conflict")
def a_version_is_left_out(run: Run) -> None:
    run.rewrite(run.logged("agreed"), lambda b: b.pop("card"), lambda f: f.pop("card", None))


@lie("outcome", "view")
def the_deadline_moves(run: Run) -> None:
    run.logged("applying").body["card"]["deadline_ms"] += 1000


@lie("decided", "outcome", "hold", "timer", "mark")
def nobody_decides(run: Run) -> None:
    run.card("timed_out")["state"] = "pending"
    run.final.now_ms += 60_000


@lie("decided", "outcome", "promised", "hold", "timer", "mark")
def the_order_system_is_never_asked_again(run: Run) -> None:
    run.card("agreed")["state"] = "applying"
    run.final.now_ms += 60_000


@lie("one-open", "outcome", "view", "effect", "kept", "notice", "promised")
def a_second_card_for_an_order(run: Run) -> None:
    run.logged("rejected").body["card"]["state"] = "pending"


@lie("promised", "effect", "kept")
def a_consent_becomes_a_refusal(run: Run) -> None:
    run.find("sent", type="answer", action="reject", comment="不用了")[0].data["command"]["action"] = "agree"


@lie("one-answer", "promised", "kept")
def two_answers_are_accepted(run: Run) -> None:
    refused = run.find("answered", "buyer lin-wan#2", type="error", code="already_settled")[0]
    agreed = run.find("answered", "buyer lin-wan", type="ok", state="applying")[0]
    refused.data["frame"] = {**agreed.data["frame"], "re": refused.data["id"]}


@lie("cause")
def an_order_never_moved(run: Run) -> None:
    run.logged("invalid").body["card"]["order_version"] = 99


@lie("conflict")
def a_conflict_shows_what_never_was(run: Run) -> None:
    run.find("answered", type="error", code="already_settled")[0].data["frame"]["card"]["state"] = "rejected"


@lie("conflict")
def what_is_settled_waits(run: Run) -> None:
    run.find("answered", type="error", code="already_settled")[0].data["frame"]["card"].update(
        state="pending", version=1
    )
