"""How a proposal, a quote, a refusal and an order look: plain JSON for one audience in one language.

Nothing here decides anything; amounts stay integers in minor units beside the texts that speak of them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from cards.errors import Params, Refusal
from cards.model import to_ms
from cards.order import AfterSale, Line, Order, Product
from cards.proposal import Action, Proposal, ProposedLine, State
from cards.rules import WAIVER, LineQuote, Quote, Verdict, order_refusal
from cards.texts import TEXTS, money, text
from cards.texts import Locale as Locale

Audience = Literal["buyer", "agent"]

BUTTONS: Mapping[Audience, tuple[Action, ...]] = {
    "buyer": (Action.AGREE, Action.REJECT),
    "agent": (Action.WITHDRAW,),
}
"""What each side can do with a waiting card."""


def render(proposal: Proposal, audience: Audience, locale: Locale) -> dict[str, Any]:
    """A proposal as a card. `buttons` is empty unless it waits; instants are Unix ms, None if they have not come."""
    pending = proposal.state is State.PENDING
    return {
        "proposal_id": proposal.id,
        "conversation_id": proposal.conversation_id,
        "order_id": proposal.order_id,
        "version": proposal.version,
        "state": proposal.state.value,
        "label": text(f"state.{proposal.state}", locale),
        "title": text(f"card.title.{audience}", locale),
        "lines": [_line(line) for line in proposal.lines],
        "price_line": _price_line(proposal, locale),
        "currency": proposal.currency,
        "total_before_cents": proposal.total_before_cents,
        "total_after_cents": proposal.total_after_cents,
        "waived_cents": proposal.waived_cents,
        "buttons": [_button(action, locale) for action in BUTTONS[audience]] if pending else [],
        "created_ms": to_ms(proposal.created),
        "deadline_ms": to_ms(proposal.deadline),
        "settled_ms": _ms(proposal.settled),
        "reason": _reason(proposal.reason, locale),
        "comment": proposal.comment,
    }


def render_notice(code: str, proposal: Proposal, locale: Locale) -> dict[str, Any]:
    """What the agent is told about a move (`notice_of`), with the reason where there is one."""
    notice = {
        "code": code,
        "text": text(f"notice.{code}", locale),
        "proposal_id": proposal.id,
        "order_id": proposal.order_id,
    }
    reason = _reason(proposal.reason, locale)
    return {**notice, "reason": reason} if reason else notice


def render_quote(quote: Quote, locale: Locale, currency: str) -> dict[str, Any]:
    """A quote for the agent. Where `code` is set, `title` says the rule and `detail` the way out; else they are None.

    A verdict that needs the waiver is allowed, without a code, and its title and detail are what to confirm (R5).
    """
    return {
        "order_id": quote.order_id,
        "order_version": quote.order_version,
        "currency": currency,
        **_refused(quote.code, quote.params, locale, currency),
        "lines": [_line_quote(line, locale, currency) for line in quote.lines],
    }


def render_refusal(refusal: Refusal, locale: Locale, *, currency: str = "CNY") -> dict[str, Any]:
    """A refusal: `title` says the rule, `detail` the way out, for the whole and for each refused line.

    `currency` is for amounts of a refusal that does not name its own.
    """
    return {
        **_refused(refusal.code, refusal.params, locale, currency),
        "lines": [
            {"line_id": line.line_id, **_refused(line.code, line.params, locale, currency)} for line in refusal.lines
        ],
    }


def render_order(order: Order, products: Mapping[str, Product], locale: Locale) -> dict[str, Any]:
    """An order for the agent's list (个人订单); `refusal` says why nothing in it can change (R2), or is None."""
    refusal = order_refusal(order)
    return {
        "id": order.id,
        "version": order.version,
        "status": order.status.value,
        "label": text(f"order.{order.status}", locale),
        "tags": [{"code": tag, "label": text(f"tag.{tag}", locale)} for tag in _tags(order)],
        "lines": [_order_line(line, products.get(line.product_id)) for line in order.lines],
        "total_cents": order.total_cents,
        "can_change": refusal is None,
        "refusal": render_refusal(refusal, locale) if refusal else None,
    }


def spec_text(options: Mapping[str, str], sku_id: str) -> str:
    """A spec in one line, `白色 / XL`; a SKU without options, or no longer known, by its id."""
    return " / ".join(options.values()) or sku_id


def _line(line: ProposedLine) -> dict[str, Any]:
    return {
        "line_id": line.line_id,
        "title": line.title,
        "quantity": line.quantity,
        "from_sku": line.from_sku,
        "to_sku": line.to_sku,
        "old": spec_text(line.from_spec, line.from_sku),
        "new": spec_text(line.to_spec, line.to_sku),
        "from_spec": dict(line.from_spec),
        "to_spec": dict(line.to_spec),
        "unit_price_before_cents": line.unit_price_before_cents,
        "unit_price_after_cents": line.unit_price_after_cents,
    }


def _price_line(proposal: Proposal, locale: Locale) -> str:
    if proposal.waived_cents:
        return text("price.waived", locale)
    if proposal.total_after_cents == proposal.total_before_cents:
        return text("price.unchanged", locale)
    return text("price.due", locale, amount=money(proposal.total_after_cents, proposal.currency, locale))


def _button(action: Action, locale: Locale) -> dict[str, str]:
    return {"action": action.value, "label": text(f"action.{action}", locale)}


def _ms(instant: datetime | None) -> int | None:
    return None if instant is None else to_ms(instant)


def _reason(code: str | None, locale: Locale) -> dict[str, str] | None:
    if code is None:
        return None
    key = f"reason.{code}"
    # An order system may have reasons of its own; a card must show all the same.
    return {"code": code, "text": text(key if key in TEXTS else "reason.order_moved", locale)}


def _refused(code: str | None, params: Params, locale: Locale, currency: str) -> dict[str, Any]:
    if code is None:
        return {"code": None, "title": None, "detail": None}
    words = _words(params, locale, currency)
    return {
        **params,
        "code": code,
        "title": text(f"refusal.{code}.title", locale, **words),
        "detail": text(f"refusal.{code}.detail", locale, **words),
    }


def _words(params: Params, locale: Locale, currency: str) -> dict[str, object]:
    """What stands in a text for each parameter: amounts as money, an order's status by its label."""
    words: dict[str, object] = dict(params)
    if "difference_cents" in params:
        own = str(params.get("currency", currency))
        words["difference"] = money(int(params["difference_cents"]), own, locale)
    if "status" in params:
        words["status"] = text(f"order.{params['status']}", locale)
    return words


def _line_quote(line: LineQuote, locale: Locale, currency: str) -> dict[str, Any]:
    return {
        **_refused(line.code, line.params, locale, currency),
        "line_id": line.line_id,
        "product_id": line.product_id,
        "title": line.title,
        "sku_id": line.sku_id,
        "options": dict(line.options),
        "spec": spec_text(line.options, line.sku_id),
        "quantity": line.quantity,
        "verdicts": [_verdict(verdict, locale, currency) for verdict in line.verdicts],
    }


def _verdict(verdict: Verdict, locale: Locale, currency: str) -> dict[str, Any]:
    said = (
        {**_refused(WAIVER, {"difference_cents": verdict.difference_cents}, locale, currency), "code": None}
        if verdict.needs_waiver
        else _refused(verdict.code, verdict.params, locale, currency)
    )
    return {
        **said,
        "sku_id": verdict.sku_id,
        "options": dict(verdict.options),
        "spec": spec_text(verdict.options, verdict.sku_id),
        "allowed": verdict.allowed,
        "needs_waiver": verdict.needs_waiver,
        "unit_price_before_cents": verdict.unit_price_before_cents,
        "unit_price_after_cents": verdict.unit_price_after_cents,
        "difference_cents": verdict.difference_cents,
        "stock": verdict.stock,
    }


def _tags(order: Order) -> list[str]:
    tags = ["deposit_presale"] if order.deposit_presale else []
    return tags if order.after_sale is AfterSale.NONE else [*tags, f"after_sale_{order.after_sale}"]


def _order_line(line: Line, product: Product | None) -> dict[str, Any]:
    sku = product.sku(line.sku_id) if product else None
    options = dict(sku.options) if sku else {}
    return {
        "line_id": line.id,
        "product_id": line.product_id,
        "title": product.title if product else line.product_id,
        "sku_id": line.sku_id,
        "options": options,
        "spec": spec_text(options, line.sku_id),
        "quantity": line.quantity,
        "unit_price_cents": line.unit_price_cents,
    }
