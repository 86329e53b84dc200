"""Faults planted in real gateways are found by a busy shop played through them; without them it finds nothing.

Faults of different kinds are planted together where none hides another, as a play takes some seconds.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

import bot.desk.places
import bot.documents.store
import bot.entry
import bot.fanout
import bot.flows.assignment
import bot.flows.reading
import bot.flows.reply_clock
import bot.overview
from bot.desk.inboxes import Inboxes
from bot.desk.places import Desk
from bot.documents.store import Store
from bot.entry import render_entry
from bot.flows.assignment import Assignment
from bot.flows.reply_clock import next_step
from bot.flows.talk import Talk
from bot.overview import render_marks
from bot.participant import Role
from bot.simulate.busy import buyer, talk
from scheduler.script import Script


def messages_come_twice(patch):
    commit = Store.commit

    async def twice(store, decision):
        if any(entry.text and entry.author.role is Role.BUYER for entry in decision.entries):
            decision = replace(decision, entries=[*decision.entries, *decision.entries])
        return await commit(store, decision)

    patch.setattr(Store, "commit", twice)


def one_desk_for_all_shops(patch):
    for module in (bot.fanout, bot.flows.assignment):
        patch.setattr(module, "desk_channel", lambda shop_id: "desk:all")


def buyers_are_told_reasons(patch):
    def render(entry, audience, locale):
        parts = render_entry(entry, audience, locale)
        if entry.params and "system" in parts:
            parts["system"].update(entry.params)
        return parts

    patch.setattr(bot.entry, "render_entry", render)
    bot.entry.encode_parts.cache_clear()


def typing_breaks(patch):
    async def typing(*_):
        raise RuntimeError("planted")

    patch.setattr(Talk, "typing", typing)


def one_more(of):
    def render(conversation, marks, audience):
        item = render_marks(conversation, marks, audience)
        return {**item, "unread": item["unread"] + (audience == of)}

    return render


def lists_count_one_more(patch):
    patch.setattr(bot.overview, "render_marks", one_more("agent"))


def pages_count_one_more(patch):
    patch.setattr(bot.flows.reading, "render_marks", one_more("buyer"))


def there_is_always_room(patch):
    init = Desk.__init__
    patch.setattr(Desk, "__init__", lambda desk, scripts, agent_limit: init(desk, scripts, agent_limit + 50))


def script(patch, module, name, condition, instead):
    text = getattr(module, name).text
    assert condition in text, f"the script no longer says {condition!r}"
    patch.setattr(module, name, Script(text.replace(condition, instead)))


def nothing_leaves_an_inbox(patch):
    script(patch, bot.desk.places, "_PLACE", "redis.call('ZREM', desk .. 'inbox:' .. former, conversation)", "")


def indexes_are_believed(patch):
    async def checked(inboxes, shop_id, agent_id, ids):
        return [one for one in await inboxes._store.overviews(ids) if one is not None]

    patch.setattr(Inboxes, "_checked", checked)


def nobody_remembers_who_it_was(patch):
    script(patch, bot.desk.places, "_HAND_OUT", "redis.call('HGET', desk .. 'last', conversation)", "false")
    patch.setattr(buyer, "_COMES_AGAIN", 1.0)


def marks_move_back(patch):
    script(patch, bot.documents.store, "_READ_MARK", "mark <= before", "mark == before")


def everybody_is_overdue_early(patch):
    def early(marks, now, warning, overdue):
        return next_step(marks, now, warning / 2, overdue / 2)

    patch.setattr(bot.flows.reply_clock, "next_step", early)


def nothing_is_handed_out(patch):
    async def hand_out(*_):
        pass

    patch.setattr(Assignment, "hand_out", hand_out)
    patch.setattr(talk, "AGENT_LIMIT_S", 1.5)


SEEDS = range(5, 8)
"""The plays in which the faults are looked for."""
FAULTS = [
    (
        {},
        {
            messages_come_twice: ("message", "is in the log 2 times"),
            one_desk_for_all_shops: ("privacy", "next door's agent was shown conversation qingmu."),
            buyers_are_told_reasons: ("privacy", "saw why it was transferred"),
            typing_breaks: ("error", "typing by the agent was answered with internal"),
            lists_count_one_more: ("list", "unread is "),
            pages_count_one_more: ("unread", " unread for the buyer, and "),
        },
    ),
    (
        {"agent_limit": 2},
        {
            there_is_always_room: ("limit", " of at most 2 with "),
            nothing_leaves_an_inbox: ("count", "the desk counts "),
            indexes_are_believed: ("hands", "the document says "),
        },
    ),
    (
        {"buyers": 18, "agents": 6, "agent_limit": 20, "cuts": 0},
        {
            nobody_remembers_who_it_was: ("returned", " was here with room"),
            marks_move_back: ("read", "goes from "),
            everybody_is_overdue_early: ("reply_time", "overdue mark after "),
        },
    ),
    (
        {"buyers": 4, "agents": 2, "late": timedelta(seconds=1)},
        {nothing_is_handed_out: ("waiting", " has room")},
    ),
]


@pytest.mark.parametrize(
    ("hours", "faults"), FAULTS, ids=[", ".join(one.__name__ for one in faults) for _, faults in FAULTS]
)
def test_planted_faults_are_found(hours, faults, play, monkeypatch):
    """In one play; on a slow machine, where less comes to be done in it, perhaps in another."""
    for fault in faults:
        fault(monkeypatch)
    unseen = {fault.__name__: law for fault, law in faults.items()}
    for seed in SEEDS:
        found = play(**hours, seed=seed).violations
        unseen = {
            name: (kind, what)
            for name, (kind, what) in unseen.items()
            if not any(one.kind == kind and what in one.what for one in found)
        }
        if not unseen:
            return
    pytest.fail(f"{unseen} among {found[:20]}")
