"""What tests of the desk may ask for."""

import pytest

from bot.desk import presence


@pytest.fixture
def short_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever leaves is away at once."""
    monkeypatch.setattr(presence, "_LINGER", 0.02)
