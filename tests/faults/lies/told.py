"""Lies about what people were told: twice, not at all, or something else."""

import orjson

from tests.faults.lies.honest import LIN, Frame
from tests.faults.lies.run import Run, lie
from tests.faults.torture.history import Record


@lie("resume")
def told_again(run: Run) -> None:
    record = run.find("told", "buyer lin-wan", type="entry")[3]
    run.insert(record, "told", record.who, frame=record.data["frame"])


@lie("resume", "delivered")
def one_is_left_out(run: Run) -> None:
    run.records.remove(run.find("told", "agent xiaoyu", type="entry")[2])


@lie("resume")
def one_is_left_out_before_a_cut(run: Run) -> None:
    lost = run.records.index(run.find("lost", "buyer lin-wan")[0])
    told = run.find("told", "buyer lin-wan", type="entry")
    run.records.remove([record for record in told if run.records.index(record) < lost][-1])


@lie("reset")
def a_page_with_a_hole(run: Run) -> None:
    page = run.find("told", "agent ahe", type="reset", conversation_id=LIN)[0].data["frame"]
    del page["entries"][2]


@lie("reset")
def a_page_that_was_not_needed(run: Run) -> None:
    told = run.find("told", "buyer lin-wan", type="entry")[-1]
    run.insert(told, "told", told.who, frame=page_of(run, told.data["frame"]["seq"]))


@lie("reset")
def a_page_that_takes_something_back(run: Run) -> None:
    taken_back(run)


@lie("told")
def somebody_is_told_something_else(run: Run) -> None:
    entry = run.said("改好了")
    record = next(r for r in run.find("told", "buyer lin-wan#2", seq=entry.seq))
    record.data["frame"]["text"]["text"] = "没改"


@lie("told")
def a_page_of_history_says_something_else(run: Run) -> None:
    page = next(record for record in run.history.of("answered") if "entries" in record.data["frame"])
    page.data["frame"]["entries"][0]["at_ms"] += 1


@lie("complete")
def the_end_never_comes(run: Run) -> None:
    record = run.find("told", "buyer lin-wan#2", type="entry")[-1]
    run.records.remove(record)


@lie("item")
def an_item_in_other_hands(run: Run) -> None:
    run.find("told", "agent ahe#2", type="welcome")[0].data["frame"]["conversations"][0]["open"] = False


def page_of(run: Run, last: int) -> Frame:
    """The page that a buyer of LIN is shown."""
    (view,) = [v for v in run.final.views[LIN] if (v.audience, v.locale) == ("buyer", "zh-CN")]
    entries = [orjson.loads(text) for seq, text in view.entries if seq <= last]
    item = {"conversation_id": LIN, "buyer_id": "lin-wan", "seq": last, "agent_id": "ahe", "open": True}
    return {"type": "reset", "conversation_id": LIN, "entries": entries, "first_seq": 1, "last_seq": last} | {
        "conversation": item
    }


def taken_back(run: Run) -> tuple[Record, Record]:
    """The last entry but one was told before another one had its seq; then the page says how it is."""
    *_, before, told = run.find("told", "buyer lin-wan", type="entry")
    seq = told.data["frame"]["seq"]
    phantom = {**told.data["frame"], "text": {"by": {"role": "agent", "id": "ahe", "name": "阿禾"}, "text": "没有"}}
    told.data["frame"] = page_of(run, seq)
    run.insert(before, "told", "buyer lin-wan", frame=phantom)
    return before, told
