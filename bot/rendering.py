"""Entries as bytes, made once for each audience and locale of a process, however many sessions they go to."""

import orjson

from bot.entry import Entry, render_entry
from cards.card import Audience
from cards.texts import Locale

_KEEP = 2048


class Rendering:
    """A bounded memory of what was parsed and rendered, by the entry's own bytes: what a log holds never changes."""

    def __init__(self) -> None:
        self._read: dict[bytes, Entry] = {}
        self._rendered: dict[tuple[bytes, Audience, Locale], bytes] = {}

    def read(self, body: bytes) -> Entry:
        """The entry that is kept as `body`."""
        entry = self._read.get(body)
        if entry is None:
            if len(self._read) >= _KEEP:
                self._read.clear()
            entry = self._read[body] = Entry.model_validate_json(body)
        return entry

    def parts(self, body: bytes, audience: Audience, locale: Locale) -> bytes:
        """The parts this audience sees, as a JSON object."""
        key = (body, audience, locale)
        parts = self._rendered.get(key)
        if parts is None:
            if len(self._rendered) >= _KEEP:
                self._rendered.clear()
            parts = self._rendered[key] = orjson.dumps(render_entry(self.read(body), audience, locale))
        return parts
