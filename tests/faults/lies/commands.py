"""Lies about commands: their replies, and what they did or did not do."""

from tests.faults.lies.honest import CLICK, LIN
from tests.faults.lies.run import Run, lie


@lie("answered")
def no_reply(run: Run) -> None:
    run.records.remove(run.find("answered", type="ok", state="applying")[0])


@lie("answered")
def given_up_for_nothing(run: Run) -> None:
    reply = run.find("answered", type="ok", state="applying")[0]
    run.insert(reply, "gave_up", reply.who, id=reply.data["id"])
    run.records.remove(reply)


@lie("error")
def an_internal_error(run: Run) -> None:
    run.find("answered", code="not_current_agent")[0].data["frame"]["code"] = "internal"


@lie("repeated")
def another_reply_to_the_same_id(run: Run) -> None:
    run.find("answered", re=CLICK)[1].data["frame"]["seq"] += 1


@lie("effect")
def nobody_said_that(run: Run) -> None:
    sent = run.find("sent", type="say", text="在的")[0]
    run.records[:] = [record for record in run.records if record.data.get("id") != sent.data["id"]]


@lie("effect")
def refused_and_done(run: Run) -> None:
    sent = run.find("sent", type="say", text="在的")[0]
    reply = run.find("answered", re=sent.data["id"])[0]
    reply.data["frame"] = {"type": "error", "re": sent.data["id"], "code": "not_current_agent"}


@lie("effect", "kept")
def said_twice(run: Run) -> None:
    again = {"text": "改好了"}
    words = {"by": {"role": "agent", "id": "ahe", "name": "阿禾"}, **again}
    author = {"author": words["by"]}
    entry = run.said("在的")
    run.rewrite(entry, lambda b: b.update(again | author), lambda f: f.update(text=words))


@lie("kept")
def another_seq(run: Run) -> None:
    run.find("answered", type="ok", state="applying")[0].data["frame"]["seq"] += 1


@lie("kept")
def beyond_the_log(run: Run) -> None:
    run.find("answered", type="ok", state="withdrawn")[0].data["frame"]["seq"] += 1000


@lie("kept")
def a_card_about_something_else(run: Run) -> None:
    run.find("sent", type="propose")[0].data["command"]["changes"][0]["to_sku"] = "white-l"


@lie("kept", "item", "view", "addressed", "delivered", "agent-privacy", "complete")
def opened_by_another(run: Run) -> None:
    run.final.logs[LIN][0].body["conversation"]["agent_id"] = "ahe"


@lie("read-mark", "mark")
def read_and_forgotten(run: Run) -> None:
    run.final.marks[LIN]["read:buyer"] = "0"
