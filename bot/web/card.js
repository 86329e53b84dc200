/** A proposal as a card, for either side: what would change, the price, the time left, and what can be done about it. */

import { everySecond, h, spoken, tell } from "./dom.js";
import { duration, t } from "./i18n.js";

const SOON = 15 * 60_000;

/** The time left until a deadline, put into `element`; little stands out. @param {HTMLElement} element @param {number} ms */
export function showLeft(element, ms, text = ms > 0 ? t("card.left", { left: duration(ms) }) : t("card.over")) {
  tell(element, text);
  element.classList.toggle("bad", ms < SOON);
}

/** A card's state. @param {Card} card */
export const stateChip = ({ state, label }) => h(`span.chip.${state}`, label);

/**
 * The card. `actions` are its buttons, if any can be clicked now: it is theirs not to look live when they are not.
 * @param {Card} card @param {Pick<Chat, "now" | "me">} chat @param {...any} actions
 */
export function cardElement(card, chat, ...actions) {
  const { title, order_id, state, label, reason, comment, deadline_ms } = card, left = h("span.card-left", { role: "timer" });
  const element = h(
    "article.card.box",
    { ariaLabel: `${title}, ${order_id}, ${label}` },
    h("header", h("strong", title), stateChip(card)),
    h("p", t("card.order", { order: order_id })),
    h("ul", card.lines.map(line)),
    h("b.good", card.price_line),
    state === "pending" && left,
    (reason || comment) && h("p", reason?.text ?? t(chat.me?.role === "buyer" ? "card.comment.mine" : "card.comment", { comment })),
    state === "applying" && h("p.row", h("i.spinner"), t("card.applying")),
    actions.length > 0 && h("div.card-actions.row", actions),
  );
  if (state === "pending") everySecond(element, () => showLeft(left, deadline_ms - chat.now()));
  return element;
}

/** @param {import("./types").CardLine} line */
const line = ({ title, quantity, old, new: now }) =>
  h("li", h("p", h("bdi", title), quantity > 1 && ` × ${quantity}`), h("p.card-specs", h("del", spoken(t("card.from")), old), "→", h("ins", spoken(t("card.to")), now)));
