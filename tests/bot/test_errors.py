"""Every error that anybody can be told has its texts in both languages, and no text is left over."""

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.errors import TEXTS, problem
from cards.errors import AlreadySettled, OldVersion
from cards.texts import Locale

BOT = Path(__file__).parents[2] / "bot"
CODE_AT = {"CommandError": 0, "problem": 0, "http_problem": 1}
"""Whoever makes an error, and which argument is its code."""
PARTS = {"error": ("title", "detail"), "system": ("agent", "buyer"), "notice": ("agent",)}
"""Of each kind of text what there must be: a notice is the agent's alone."""
CONFLICTS = {AlreadySettled.code: {"label"}, OldVersion.code: {"label"}}
"""Raised by cards; the gateway adds the label of the card's state."""


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(BOT.rglob("*.py")):
        yield file, ast.parse(file.read_text("utf-8"))


def made() -> list[tuple[str, str, set[str]]]:
    """Where an error is made, its code, and the parameters it is given."""
    found = []
    for file, tree in trees():
        for call in ast.walk(tree):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in CODE_AT:
                continue
            at = CODE_AT[call.func.id]
            if len(call.args) > at and isinstance(code := call.args[at], ast.Constant):
                given = {keyword.arg for keyword in call.keywords if keyword.arg}
                found.append((f"{file.name}:{call.lineno}", str(code.value), given))
    return found


MADE = made()
CODES = {code for _, code, _ in MADE} | set(CONFLICTS)


def test_the_search_finds_what_is_known_to_be_there() -> None:
    assert {"bad_frame", "busy", "internal", "id_reused", "origin_not_allowed", "unknown_buyer", "going_away"} <= CODES


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize(("where", "code", "given"), MADE, ids=[f"{where}-{code}" for where, code, _ in MADE])
def test_every_error_has_its_texts_and_all_they_speak_of(
    where: str, code: str, given: set[str], locale: Locale
) -> None:
    said = problem(code, locale, **dict.fromkeys(given, "x"))
    assert said["title"]
    assert said["detail"]
    assert not given & {"type", "re", "code", "title", "detail"}, f"{where}: a member of every error is overwritten"


@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("code", CONFLICTS)
def test_every_conflict_has_its_texts(code: str, locale: Locale) -> None:
    assert problem(code, locale, **dict.fromkeys(CONFLICTS[code], "x"))["detail"]


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    zh, en = (TEXTS.by_locale[locale] for locale in (Locale.ZH_CN, Locale.EN))
    assert list(zh) == list(en)
    assert {key: placeholders(zh[key]) for key in zh} == {key: placeholders(en[key]) for key in en}
    assert all([*zh.values(), *en.values()])
    assert all(zh[key] != en[key] for key in zh)


def test_no_text_is_left_over() -> None:
    words = {
        node.value
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    for key in TEXTS.by_locale[Locale.EN]:
        kind, code, part = key.split(".")
        if kind == "error":
            assert code in CODES, f"{key} is nobody's"
            assert part in ("title", "detail")
        else:
            assert kind in PARTS
            assert code in words, f"{key} is nobody's"
            assert part in PARTS[kind]


def test_every_text_has_its_other_half() -> None:
    keys = set(TEXTS.by_locale[Locale.EN])
    for key in keys:
        kind, code, _ = key.split(".")
        for part in PARTS[kind]:
            assert f"{kind}.{code}.{part}" in keys


def test_the_members_are_those_of_rfc_9457_and_the_parameters() -> None:
    said = problem("busy", Locale.EN, retry_after_ms=200)
    assert said == {
        "code": "busy",
        "title": "Busy",
        "detail": "Nothing was changed. Try again in 200 ms.",
        "retry_after_ms": 200,
    }


def test_what_a_client_wrote_is_quoted_and_never_read_as_a_template() -> None:
    assert "{0.__class__} {x}" in problem("bad_frame", Locale.EN, reason="{0.__class__} {x}", fields=[])["detail"]
