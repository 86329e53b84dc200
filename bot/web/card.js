/** A proposal as a card, for either side: what would change, the price, the time left, and what can be done about it. */

import { everySecond, h } from "./dom.js";
import { duration, t } from "./i18n.js";

/** @typedef {import("./types").Card} Card */

/**
 * The card. `actions` are its buttons, if any can be clicked now; they must not look live when they are not.
 * @param {Card} card @param {() => number} now @param {...any} actions
 */
export function cardElement(card, now, ...actions) {
  const waits = card.state === "pending";
  const left = h("span", { class: "card-left", role: "timer" });
  const element = h(
    "article",
    { class: "card", "data-state": card.state, "aria-label": `${card.title}, ${card.order_id}, ${card.label}` },
    h(
      "header",
      { class: "card-head" },
      h("strong", {}, card.title),
      h("span", { class: "chip", "data-state": card.state }, card.label),
    ),
    h("p", { class: "card-order" }, t("card.order", { order: card.order_id })),
    h(
      "ul",
      { class: "card-lines" },
      card.lines.map((line) =>
        h(
          "li",
          {},
          h("span", { class: "card-title" }, line.title, line.quantity > 1 && h("span", { class: "count" }, ` × ${line.quantity}`)),
          h(
            "span",
            { class: "card-specs" },
            h("del", {}, h("span", { class: "sr-only" }, t("card.from")), line.old),
            h("span", { class: "card-arrow", "aria-hidden": "true" }, "→"),
            h("ins", {}, h("span", { class: "sr-only" }, t("card.to")), line.new),
          ),
        ),
      ),
    ),
    h("p", { class: "card-price" }, card.price_line),
    waits && left,
    (card.reason || card.comment) && h("p", { class: "card-reason" }, card.reason?.text ?? t("card.comment", { comment: card.comment })),
    card.state === "applying" && h("p", { class: "card-busy" }, h("span", { class: "spinner", "aria-hidden": "true" }), t("card.applying")),
    actions.length > 0 && h("div", { class: "card-actions" }, ...actions),
  );
  if (waits)
    everySecond(element, () => {
      const ms = card.deadline_ms - now();
      left.textContent = ms > 0 ? t("card.left", { left: duration(ms) }) : t("card.over");
      left.classList.toggle("soon", ms < 15 * 60_000);
      if (ms <= 0) element.querySelectorAll("button").forEach((button) => (button.disabled = true));
    });
  return element;
}
