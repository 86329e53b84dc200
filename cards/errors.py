"""Every no that is not a bug: a code for the wire, a docstring for people; their texts live in `locales/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from cards.proposal import Proposal

Params = Mapping[str, str | int]
"""What a refusal's text speaks of, by name; amounts end in `_cents`."""

ORDER_CODES = frozenset(
    {
        "order_not_changeable",  # R2: params status
        "after_sale",  # R2
        "deposit_presale",  # R2
        "proposal_pending",  # R8: raised by whoever knows the holds
        "unknown_order",
        "unknown_line",  # params line_id
        "no_changes",
        "duplicate_line",  # params line_id
        "lines_refused",  # R3: several lines are refused; params count
    }
)
"""Codes of a refusal that speaks of the whole order, or of the request."""

LINE_CODES = frozenset(
    {
        "line_moved",  # the line is no longer what the agent saw: params sku_id (today's)
        "unknown_product",  # params product_id
        "same_sku",  # R3
        "unknown_sku",  # R3: not a SKU of this product; params sku_id
        "off_sale",  # R3
        "price_lower_after_payment",  # R4
        "out_of_stock",  # R3: params needed, stock
        "difference_not_waived",  # R5: params difference_cents (the whole line), currency
    }
)
"""Codes of a refusal that speaks of one line."""


@dataclass(frozen=True, slots=True)
class LineRefusal:
    """Why one line can't change; `code` is one of `LINE_CODES`."""

    line_id: str
    code: str
    params: Params = field(default_factory=dict)


class Refusal(Exception):
    """The rules, or the order as it is now, do not allow this."""

    def __init__(self, code: str, params: Params | None = None, lines: Sequence[LineRefusal] = ()) -> None:
        super().__init__(code)
        self.code = code
        self.params: dict[str, str | int] = dict(params or {})
        self.lines = tuple(lines)

    def __str__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return f"{self.code}({said})" if said else self.code


class LinesRefused(Refusal):
    """At least one line can't change, so the whole card can't; every refused line is named (R3).

    One refused line gives its own code and params to the whole; several are `lines_refused`.
    """

    def __init__(self, lines: Sequence[LineRefusal]) -> None:
        if len(lines) == 1:
            super().__init__(lines[0].code, lines[0].params, lines)
        else:
            super().__init__("lines_refused", {"count": len(lines)}, lines)


class Conflict(Exception):
    """The proposal is not what the caller thought; `proposal` is how it is now (R11)."""

    code: ClassVar[str]

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(f"{self.code}: proposal {proposal.id} is {proposal.state}, version {proposal.version}")
        self.proposal = proposal


class AlreadySettled(Conflict):
    """The proposal can no longer move this way; whatever happened first has decided."""

    code = "already_settled"


class OldVersion(Conflict):
    """The action names a version of the proposal that is not today's."""

    code = "old_version"


class TooEarly(Exception):
    """A timer came before the deadline; ask again at `deadline`."""

    def __init__(self, deadline: datetime) -> None:
        super().__init__(f"too early: the deadline is {deadline.isoformat()}")
        self.deadline = deadline
