"""Entries as each audience sees them: what is not theirs is not there, and what was made once is made once."""

import orjson
import pytest

from bot.conversation import Conversation
from bot.entry import Author, Entry, encode_parts, read_entry, render_entry
from bot.participant import Role
from cards.card import BUTTONS, Audience
from cards.proposal import State
from cards.texts import Locale
from tests.proposals import NOON, a_proposal

AGENT = Author(role=Role.AGENT, id="xiaoyu", name="小雨")
CONVERSATION = Conversation(
    id="nanshan.lin-wan", shop_id="nanshan", buyer_id="lin-wan", buyer_name="林晚", opened=NOON
).given_to("xiaoyu", "小雨")
CARD = a_proposal(state=State.REJECTED, version=2, settled=NOON)
AUDIENCES: tuple[Audience, ...] = ("agent", "buyer")
ENTRIES = {
    "text": Entry(author=AGENT, text="您好"),
    "card": Entry(author=AGENT, card=CARD),
    "card and notice": Entry(card=CARD, notice="rejected", notice_to="xiaoyu"),
    "system": Entry(author=AGENT, system="opened", params={"agent": "小雨"}, conversation=CONVERSATION),
    "transfer": Entry(system="transferred", params={"agent": "小雨", "to": "阿禾"}, conversation=CONVERSATION),
    "nothing": Entry(),
}


def test_there_is_nobody_else_to_see_anything() -> None:
    assert set(BUTTONS) == set(AUDIENCES)


def test_a_notice_is_the_agents_alone() -> None:
    entry = ENTRIES["card and notice"]
    assert set(render_entry(entry, "buyer", Locale.ZH_CN)) == {"card", "unread"}
    notice = render_entry(entry, "agent", Locale.ZH_CN)["notice"]
    assert (notice["text"], notice["agent_id"]) == ("用户拒绝修改规格", "xiaoyu")


def test_each_side_is_told_in_its_words_and_language() -> None:
    said = {
        (audience, locale): render_entry(ENTRIES["system"], audience, locale)["system"]["text"]
        for audience in AUDIENCES
        for locale in Locale
    }
    assert said == {
        ("agent", Locale.ZH_CN): "小雨 已接入会话",
        ("agent", Locale.EN): "小雨 took the conversation",
        ("buyer", Locale.ZH_CN): "客服 小雨 为您服务",
        ("buyer", Locale.EN): "小雨 is here to help you",
    }


def test_a_text_says_who_said_it() -> None:
    text = render_entry(ENTRIES["text"], "buyer", Locale.EN)["text"]
    assert text == {"by": {"role": "agent", "id": "xiaoyu", "name": "小雨"}, "text": "您好"}


def test_an_entry_with_nothing_for_somebody_is_an_empty_object() -> None:
    assert encode_parts(Entry(notice="rejected").to_json().encode(), "buyer", Locale.EN) == b"{}"


@pytest.mark.parametrize("what", ENTRIES)
@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize("locale", Locale)
def test_what_is_kept_is_rendered_as_what_was_meant(what: str, audience: Audience, locale: Locale) -> None:
    entry = ENTRIES[what]
    body = entry.to_json().encode()
    assert read_entry(body) == entry
    assert orjson.loads(encode_parts(body, audience, locale)) == orjson.loads(
        orjson.dumps(render_entry(entry, audience, locale))
    )


def test_it_is_made_once_for_each_audience_and_language_and_not_mixed_up() -> None:
    body = Entry(author=AGENT, system="opened", params={"agent": "只此一次"}).to_json().encode()
    made = {(a, lo): encode_parts(body, a, lo) for a in AUDIENCES for lo in Locale}
    assert len(set(made.values())) == 4
    for (audience, locale), parts in made.items():
        assert encode_parts(bytes(bytearray(body)), audience, locale) is parts


def test_what_is_remembered_is_bounded() -> None:
    for n in range(5000):
        encode_parts(Entry(author=AGENT, text=f"{n}").to_json().encode(), "buyer", Locale.EN)
    for remembering in (encode_parts, read_entry):
        info = remembering.cache_info()
        assert info.maxsize is not None
        assert info.currsize <= info.maxsize
