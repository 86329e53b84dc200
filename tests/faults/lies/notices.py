"""Lies about notices: none, another one, somebody else's."""

from tests.faults.lies.honest import CHEN, Frame
from tests.faults.lies.run import Run, lie


@lie("notice")
def no_notice(run: Run) -> None:
    run.rewrite(run.logged("agreed"), lambda b: b.pop("notice"), lambda f: f.pop("notice", None))


@lie("notice", "view")
def a_second_notice(run: Run) -> None:
    run.logged("applying").body.update(notice="agreed", notice_to="xiaoyu")


@lie("addressed", "delivered")
def a_notice_for_somebody_else(run: Run) -> None:
    def shown(frame: Frame) -> None:
        if "notice" in frame:
            frame["notice"]["agent_id"] = "ahe"

    run.rewrite(run.logged("rejected"), lambda b: b.update(notice_to="ahe"), shown)


@lie("delivered", "complete")
def a_notice_that_never_came(run: Run) -> None:
    seq = run.logged("timed_out").seq
    for record in run.find("told", "agent ahe", type="entry", conversation_id=CHEN):
        if record.data["frame"]["seq"] >= seq:
            run.records.remove(record)
