"""Lies about privacy: what somebody must not see."""

from dataclasses import replace

from tests.faults.lies.honest import CHEN, LIN
from tests.faults.lies.run import Run, lie


@lie("buyer-privacy", "told")
def a_buyer_is_shown_a_notice(run: Run) -> None:
    seq = run.logged("rejected").seq
    record = run.find("told", "buyer lin-wan", type="entry", seq=seq)[0]
    record.data["frame"]["notice"] = {"code": "rejected"}


@lie("buyer-privacy", "told")
def a_buyer_learns_why(run: Run) -> None:
    told = run.find("told", "buyer lin-wan", type="entry")
    record = next(r for r in told if r.data["frame"].get("system", {}).get("code") == "transferred_because")
    record.data["frame"]["system"]["reason"] = "午休"


@lie("buyer-privacy", "view", "told")
def a_buyer_reads_a_notice_back(run: Run) -> None:
    views = run.final.views[LIN]
    of_agent = {view.locale: view.entries for view in views if view.audience == "agent"}
    views[:] = [replace(v, entries=of_agent[v.locale]) if v.audience == "buyer" else v for v in views]


@lie("buyer-privacy", "resume", "told")
def a_buyer_is_told_of_another(run: Run) -> None:
    record = run.find("told", "buyer lin-wan", type="entry")[-1]
    run.insert(record, "told", "buyer chen-mo", frame=record.data["frame"])


@lie("buyer-privacy", "item")
def a_buyer_sees_the_desk(run: Run) -> None:
    welcome = run.find("told", "buyer chen-mo", type="welcome")[0].data["frame"]
    welcome["waiting"] = [{"conversation_id": LIN, "buyer_id": "lin-wan", "seq": 0, "agent_id": None, "open": True}]


@lie("agent-privacy", "resume", "told")
def an_agent_is_told_of_what_is_not_theirs(run: Run) -> None:
    record = run.find("told", "agent ahe", type="entry", conversation_id=CHEN)[0]
    run.insert(record, "told", "agent xiaoyu", frame=record.data["frame"])


@lie("agent-privacy")
def an_agent_hears_who_writes(run: Run) -> None:
    record = run.find("told", "agent xiaoyu", type="entry")[0]
    run.insert(record, "told", "agent xiaoyu", frame={"type": "typing", "conversation_id": CHEN, "by": "buyer"})
