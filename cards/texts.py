"""Every text a person reads, by key and locale; the only reader of `locales/`, and the only writer of amounts."""

import json
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from importlib.resources import files


class Locale(StrEnum):
    """A language that there are texts in."""

    ZH_CN = "zh-CN"
    EN = "en"


class Texts:
    """The texts of one package: `<package>/locales/<locale>.json`, a flat object of key to text, read once."""

    def __init__(self, package: str) -> None:
        folder = files(package) / "locales"
        self.by_locale: Mapping[Locale, Mapping[str, str]] = {
            locale: json.loads((folder / f"{locale}.json").read_text("utf-8")) for locale in Locale
        }

    def __contains__(self, key: str) -> bool:
        return key in self.by_locale[Locale.EN]

    def text(self, key: str, locale: Locale, **params: object) -> str:
        """The text of that key, its `{placeholders}` filled. Raises KeyError for a key or placeholder nobody wrote."""
        template = self.by_locale[locale][key]
        return template.format(**{name: _alone(value) for name, value in params.items()}) if params else template


_TURNS = {"R", "AL", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_FSI, _PDI = "\u2068", "\u2069"


def _alone(value: object) -> object:
    """A value among other words: one in which anything is written from right to left turns none of them around."""
    if not isinstance(value, str) or not any(unicodedata.bidirectional(sign) in _TURNS for sign in value):
        return value
    kept, depth = [_FSI], 1
    for sign in value:
        depth += (unicodedata.bidirectional(sign) in ("LRI", "RLI", "FSI")) - (sign == _PDI)
        if depth:
            kept.append(sign)
        depth = max(depth, 1)  # it ends nothing that it did not begin
    return "".join(kept) + _PDI * depth


TEXTS = Texts("cards")
text = TEXTS.text

_DIGITS = {"JPY": 0, "KRW": 0, "VND": 0}
"""How many decimals a currency has, if not two (ISO 4217)."""


def money(cents: int, currency: str, locale: Locale) -> str:
    """An amount in minor units, as people write it: `¥12.50`, `-$1,234.00`; a currency without a sign by its code."""
    digits = _DIGITS.get(currency, 2)
    whole, part = divmod(abs(cents), 10**digits)
    amount = f"{whole:,}.{part:0{digits}}" if digits else f"{whole:,}"
    key = f"money.{currency}"
    signed = text(key, locale, amount=amount) if key in TEXTS else f"{currency} {amount}"
    return f"-{signed}" if cents < 0 else signed
