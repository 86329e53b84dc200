"""What buyers said: in the log exactly once, and in the order in which each device sent it."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from bot.simulate.busy.evidence import BusyEvidence, Said


def messages(evidence: BusyEvidence) -> Iterator[str]:
    """Every message once; each device's in its order; and nothing that nobody said."""
    seqs: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for story in evidence.cards.stories:
        for entry in story.read_back["agent"]:
            if "text" in entry and entry["text"]["by"]["role"] == "buyer":
                seqs[story.conversation_id, entry["text"]["text"]].append(entry["seq"])
    by_device: defaultdict[str, list[Said]] = defaultdict(list)
    for said in evidence.said:
        by_device[said.device].append(said)
        found = seqs.pop((said.conversation_id, said.text), [])
        if len(found) != 1 and (said.reply == "ok" or len(found) > 1):
            yield f"{said.conversation_id}: {said.text!r} is in the log {len(found)} times (seq {found})"
        seqs[said.conversation_id, said.text] = found
    for device, all_said in by_device.items():
        placed = [(said, found[0]) for said in all_said if (found := seqs[said.conversation_id, said.text])]
        for (one, seq), (other, next_seq) in pairwise(placed):
            if next_seq <= seq:
                yield f"{device} sent {one.text!r} (seq {seq}) before {other.text!r} (seq {next_seq})"
    known = {(said.conversation_id, said.text) for said in evidence.said}
    for conversation_id, text in seqs:
        if (conversation_id, text) not in known:
            yield f"{conversation_id}: nobody said {text!r}"
