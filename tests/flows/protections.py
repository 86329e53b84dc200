"""What in commit.lua keeps races honest, and how a test takes one away to see itself fail."""

import pytest

import bot.documents.store
from scheduler.script import Script

VERSIONS = "(redis.call('HGET', document.key, 'v') or '0') ~= document.expected"
HOLDS = "(redis.call('GET', hold.key) or '') ~= hold.expected"
HOUR = "(not_before ~= '' and now < tonumber(not_before)) or (not_after ~= '' and now >= tonumber(not_after))"
KNOWN = "command ~= '' then\n  local known"
"""Conditions, as they stand in the script. A changed script fails the tests that name what it no longer says."""


def without(monkeypatch: pytest.MonkeyPatch, *protections: str) -> None:
    """Commit by a script in which these conditions are never true, for the rest of the test."""
    text = bot.documents.store._COMMIT.text
    for protection in protections:
        assert protection in text, f"commit.lua no longer says {protection!r}: say here what it says now"
        head, _, tail = protection.rpartition(" then")
        text = text.replace(protection, f"false then{tail}" if head else "false")
    monkeypatch.setattr(bot.documents.store, "_COMMIT", Script(text))
