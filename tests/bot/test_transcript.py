"""A page instead of what is missing: whatever was here, what is here afterwards is the log as it is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.transcript import Transcript

ID = "nanshan.lin-wan"
Entry = dict[str, Any]


def entries(text: str, first: int, last: int, at_ms: int) -> list[Entry]:
    by = {"role": "buyer", "id": "lin-wan", "name": "林晚"}
    seqs = range(first, last + 1)
    return [{"seq": seq, "at_ms": at_ms + seq, "text": {"by": by, "text": f"{text} {seq}"}} for seq in seqs]


@given(
    begins=st.integers(1, 8),
    common=st.integers(0, 10),
    lost=st.integers(0, 10),
    since=st.integers(0, 20),
    size=st.integers(1, 25),
)
def test_after_a_reset_the_log_is_the_end_of_the_log_as_it_is(
    begins: int, common: int, lost: int, since: int, size: int
) -> None:
    """`common` entries were kept and `lost` ones not, `since` came instead; the client has those from `begins` on.

    Seen to fail with seqs compared only, with what lies before the page kept where nothing says that it is the same,
    and with the list's line kept though it was lost.
    """
    kept = entries("kept", 1, common, 0)
    before = [*kept, *entries("lost", common + 1, common + lost, 1000)]
    now = [*kept, *entries("since", common + 1, common + since, 2000)]
    here = [entry for entry in before if entry["seq"] >= begins]
    transcript = Transcript()
    welcome = {"type": "welcome", "participant": {"role": "buyer", "id": "lin-wan", "shop_id": "nanshan"}}
    transcript.take({**welcome, "conversations": [], "waiting": []})
    transcript.cursors[ID] = min(begins - 1, len(before))
    for entry in here:
        transcript.take({"type": "entry", "conversation_id": ID, **entry})
    page = now[-size:]
    item = {"conversation_id": ID, "seq": len(now), "unread": 0, "read": {}, "cards": []}
    told = transcript.take(
        {
            "type": "reset",
            "conversation_id": ID,
            "now_ms": 0,
            "first_seq": 1 if now else 0,
            "last_seq": len(now),
            "conversation": item,
            "entries": page,
        }
    )
    log = [{name: entry[name] for name in ("seq", "at_ms", "text")} for entry in transcript.logs.get(ID, [])]
    new = [entry for _, entry in told]
    assert log == (now[-len(log) :] if log else []), "no gap, no double, nothing that was lost"
    assert transcript.cursors[ID] == len(now)
    assert transcript.violations == []
    if here:
        assert [entry for entry in page if entry not in here and entry["seq"] > max(e["seq"] for e in here)] == [
            entry for entry in new if entry["seq"] > max(e["seq"] for e in here)
        ]
        assert all(entry not in here for entry in new), "what was told already is not told again"
        if here[0] in page:
            assert log[0] == here[0], "what both have stays"
    line = transcript.conversations[ID]["line"]
    assert (line and line["text"]) == (now[-1]["text"]["text"] if now else None)
