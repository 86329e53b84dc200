"""What can be wrong with a command: a code for programs, a title and a detail for people (members of RFC 9457)."""

from typing import Any

from cards.texts import Locale, Texts

TEXTS = Texts("bot")


class CommandError(Exception):
    """A command that is answered with an error: nothing was changed.

    `code` has texts in locales/*.json; `params` fill them in and go along on the wire.
    """

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.params = params


def problem(code: str, locale: Locale, **params: Any) -> dict[str, Any]:
    """The error's members: code, title, detail and its parameters."""
    return {
        "code": code,
        "title": TEXTS.text(f"error.{code}.title", locale, **params),
        "detail": TEXTS.text(f"error.{code}.detail", locale, **params),
        **params,
    }
