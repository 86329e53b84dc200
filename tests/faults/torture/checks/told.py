"""What each client was told: everything since it began, once and in order, the same as everybody, until the end."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from tests.faults.torture.checks.evidence import Evidence
from tests.faults.torture.checks.readers import Reader, Seen
from tests.faults.torture.checks.subjects import person_of
from tests.faults.torture.final import Logged, canonical


def resumed(evidence: Evidence) -> Iterator[str]:
    """A client is told every entry once and in order, also over several connections: resuming gives what is missing."""
    for reader in evidence.readers:
        for id, seen in reader.seen.items():
            for hole in seen.holes:
                yield f"{reader.who}, {id}: {hole}"


def resets(evidence: Evidence) -> Iterator[str]:
    """A fresh page comes only where entries cannot, is whole, and takes nothing back but what a failover lost."""
    terms = evidence.terms
    for reader, id, seen in _all_seen(evidence):
        for reset in seen.resets:
            page, name = reset.page, f"{reader.who}, {id}, page up to seq {reset.page['last_seq']}"
            seqs, last = [entry["seq"] for entry in page["entries"]], page["last_seq"]
            if seqs != list(range(last - len(seqs) + 1, last + 1)):
                yield f"{name}: it has the seqs {seqs}"
            elif len(seqs) < terms.fresh_page and last and (not seqs or seqs[0] > max(page["first_seq"], 1)):
                yield f"{name}: it has {len(seqs)} entries only"
            cut_back = evidence.may_cut_back(reset.at_ms)
            if reset.took_back and not cut_back:
                yield f"{name}: it takes back seq {reset.took_back}, and nothing could be lost"
            if reset.cursor is not None and not cut_back and page["first_seq"] <= reset.cursor + 1:
                if reset.cursor > last:
                    yield f"{name}: it ends before {reset.cursor}, and nothing could be lost"
                elif last - reset.cursor <= terms.resume_entries // 2:
                    yield f"{name}: the entries after {reset.cursor} could have been told"


def agreeing(evidence: Evidence) -> Iterator[str]:
    """What a client was told is what the log says, in every part; but for what a failover lost and a page took back."""
    lossless = not evidence.may_cut_back(evidence.ended_ms)
    for reader, id, seen in _all_seen(evidence):
        for seq, (locale, frame) in seen.entries.items():
            yield from _compare(evidence, id, seq, reader.who, frame, [locale])
        for seq, locale, frame in seen.superseded if lossless else ():
            yield from _compare(evidence, id, seq, reader.who, frame, [locale])
    spoke: defaultdict[str, set[str]] = defaultdict(set)  # a copy may be answered to another device, in its language
    for reader in evidence.readers:
        spoke[person_of(reader.who)] |= reader.locales
    for command in evidence.commands if lossless else ():
        for page in command.oks if command.type == "history" else ():
            for entry in page["entries"]:
                id, locales = command.members["conversation_id"], spoke[person_of(command.who)]
                yield from _compare(evidence, id, entry["seq"], command.who, entry, locales)


def _compare(
    evidence: Evidence, id: str, seq: int, who: str, frame: dict[str, Any], locales: Collection[str]
) -> Iterator[str]:
    log = evidence.final.logs.get(id)
    if log and seq < log[0].seq:
        return  # it is no longer kept
    audience = "buyer" if who.startswith("buyer ") else "agent"
    told = canonical(frame)
    wanted = None
    for locale in locales:
        wanted = evidence.views.get((id, audience, locale), {}).get(seq)
        if told == wanted or (wanted is None and log and seq <= log[-1].seq):
            return  # where fresh readers were not given it, `views` says so
    yield f"{id}, seq {seq}: {who} was told {told.decode()}, and it is {wanted.decode() if wanted else 'not there'}"


def complete(evidence: Evidence) -> Iterator[str]:
    """In the end everybody has everything that is theirs: a buyer the log, an agent all until it left their hands."""
    for reader in evidence.readers:
        if reader.role not in ("agent", "buyer"):
            continue
        for id in evidence.final.logs:
            due, seen = due_seq(evidence, reader, id), reader.seen.get(id)
            has = seen.cursor if seen else None
            if due and (has is None or has < due):
                yield f"{reader.who}, {id}: it has seq {has}, and should have {due}"


def due_seq(evidence: Evidence, reader: Reader, id: str) -> int:
    """The last entry that a client must have been told in the end; 0: it need not have been told anything."""
    log, hands = evidence.final.logs[id], evidence.hands[id]
    if reader.role == "buyer":
        theirs = id.partition(".")[2] == reader.person_id
        return _last_until(log, _heard_until(evidence, reader, waited_for=True)) if theirs else 0
    last = hands.at(log[-1].seq) if log else None
    current = last is not None and last.agent_id == reader.person_id
    end = _last_until(log, _heard_until(evidence, reader, waited_for=current))
    seen = reader.seen.get(id)
    if (seen is None or seen.cursor is None) and not current:
        return 0  # it came and went while they were away, or they are done with it
    return hands.last_for(reader.person_id, end) or 0


def _heard_until(evidence: Evidence, reader: Reader, *, waited_for: bool) -> int:
    """Up to when a client heard all that there was. The play waits until those who are in a conversation have it."""
    settles_ms = round(evidence.terms.settles.total_seconds() * 1000)
    lost_ms = evidence.ended_ms if reader.lost_ms is None else reader.lost_ms
    if lost_ms >= evidence.quiet_ms and waited_for:
        return max(evidence.quiet_ms, lost_ms - settles_ms)
    if lost_ms >= evidence.quiet_ms:
        return lost_ms - settles_ms if lost_ms - reader.connected_ms >= settles_ms else 0
    if lost_ms - reader.connected_ms < evidence.bound_ms:
        return 0
    return evidence.settled_by(lost_ms)


def _last_until(log: Sequence[Logged], until_ms: int) -> int:
    return next((entry.seq for entry in reversed(log) if entry.at_ms <= until_ms), 0)


def _all_seen(evidence: Evidence) -> Iterator[tuple[Reader, str, Seen]]:
    for reader in evidence.readers:
        for id, seen in reader.seen.items():
            yield reader, id, seen


def items(evidence: Evidence) -> Iterator[str]:
    """An item of a list says whose the conversation was, as of its seq."""
    for reader in evidence.readers:
        for at_ms, item in reader.items:
            id, seq = item["conversation_id"], item["seq"]
            log = evidence.final.logs.get(id)
            if evidence.may_cut_back(at_ms):
                continue
            if not log or seq > log[-1].seq:
                yield f"{reader.who} was shown {id} at seq {seq}, and the log ends with {log[-1].seq if log else 0}"
                continue
            hand = evidence.hands[id].at(seq)
            if hand and (item["agent_id"], item["open"]) != (hand.agent_id, hand.open):
                yield f"{reader.who} was shown {id} at seq {seq} with {item['agent_id']}, and {hand.agent_id} had it"
