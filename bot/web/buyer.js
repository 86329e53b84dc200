/** The buyer's chat, a phone screen: the talk with the shop, cards to answer, what became of them, and the orders. */

import "./composer.js";
import "./connection.js";
import "./log.js";
import { cardElement, stateChip } from "./card.js";
import { beforeFrame, dot, everySecond, fill, h, icon, openDialog, tell } from "./dom.js";
import { duration, money, otherLocale, switchLocale, t } from "./i18n.js";
import { begin, chat, current, item, turnTo } from "./session.js";
import { attempt } from "./toast.js";

/** @import { Order } from "./types" */

/** The answer to a card: a click, then a confirmation. Law: a button is live only while a click counts. @param {Card} card */
function answer(card) {
  const { proposal_id, conversation_id, version, deadline_ms } = card;
  const element = h("div.answer", { role: "group", tabIndex: -1 }), why = h("p.muted");
  let sending = false;
  const live = () => {
    const no = sending ? "sending" : deadline_ms <= chat.now() ? "over" : chat.state === "connected" ? "" : "offline";
    // A button that is disabled loses the focus to nobody.
    if (no && element.querySelector("button:focus")) element.focus();
    for (const button of element.querySelectorAll("button")) button.disabled = Boolean(no);
    tell(why, no && t(`buyer.why.${no}`));
  };
  const send = async (action = "", comment = "") => {
    sending = true;
    live();
    // What becomes of it comes as an entry, here as on every other device.
    await attempt(chat.command("answer", { conversation_id, proposal_id, version, action, ...(comment && { comment }) }), ({ card: now }) => {
      if (now) element.closest(".card")?.replaceWith(cardElement(now, chat, ...actions(now)));
      sending = false;
    });
    live();
  };
  const show = (focus = "", /** @type {any[]} */ ...children) => {
    fill(element, children, why);
    live();
    if (focus) /** @type {HTMLElement} */ (element.querySelector(focus)).focus();
  };
  /** The two answers. */
  const choose = (focus = "") =>
    show(focus, h("div.answers", card.buttons.map(({ action, label }) => button(action, label, () => confirm(action)))));
  /** Once more the one that was chosen. */
  const confirm = (action = "") => {
    const label = t("buyer.reason"), reason = h("textarea", { rows: 2, maxLength: 200, placeholder: label, ariaLabel: label });
    const yes = button("yes", t(`buyer.${action}.yes`), () => send(action, reason.value.trim()));
    const no = button("no", t("buyer.back"), () => choose(`[data-action=${action}]`));
    show("textarea, button", h("p", t(`buyer.${action}.ask`)), action === "reject" && reason, h("div.answers", yes, no));
  };
  choose();
  everySecond(element, live);
  return element;
}

const button = (action = "", text = "", onclick = () => {}) => h(/agree|yes/.test(action) ? "button.primary" : "button", { "data-action": action, onclick }, text);

const actions = (/** @type {Card} */ card) => (card.buttons.length ? [answer(card)] : []);

/** @param {Order} order @param {string} currency @param {(proposal: string) => void} goTo */
function orderElement({ id, label, status, tags, lines, total_cents, card }, currency, goTo) {
  return h(
    "li.box",
    h("p", h("small", id), tags.map((tag) => h("span.chip", tag.label)), h("b", label)),
    lines.flatMap(({ title, unit_price_cents, spec, quantity }) => [
      h("p", h("span", title), h("span", money(unit_price_cents, currency))),
      h("p", h("small", spec), h("small", `× ${quantity}`)),
    ]),
    h("p", h("small", t(status === "unpaid" ? "buyer.due" : "buyer.total")), h("b", money(total_cents, currency))),
    card && h("button", () => goTo(card.proposal_id), stateChip(card), card.title, icon("right")),
  );
}

function phone() {
  const log = Object.assign(h("assent-log"), { actions });
  const face = h("span.face.good.tint", { ariaHidden: "true" }), name = h("h1"), presence = h("p.presence.row.muted"), left = h("b");
  const waits = h("button.waits.warn.tint", { onclick: () => log.goTo(waits.value) }, icon("clock"), h("span", t("buyer.waits")), left, icon("right"));
  const list = h("ul"), nothing = (text = "") => fill(list, h("li.box.muted", text));

  /** Who is there, and what waits out of sight. */
  function show() {
    const one = item(), agent = one?.agent_name, card = one?.cards?.find(({ state }) => state === "pending");
    const place = card && log.cardOf(card.proposal_id)?.getBoundingClientRect(), view = log.getBoundingClientRect();
    tell(name, document.title = agent ?? t("buyer.service"));
    tell(face, [...name.textContent][0]);
    fill(presence, agent && dot(one?.online), t(!one || one.open === false ? "buyer.ready" : !agent ? "buyer.queue" : one.online ? "buyer.online" : "buyer.away"));
    waits.hidden = !card || Boolean(place && place.bottom > view.top + 60 && place.top < view.bottom - 60);
    waits.value = card?.proposal_id ?? "";
    tell(left, card ? duration(card.deadline_ms - chat.now()) : "");
  }

  async function orders() {
    if (!list.isConnected) return;
    try {
      const { orders, currency } = await chat.command("orders", { conversation_id: current });
      if (!orders.length) return nothing(t("buyer.none"));
      const goTo = (/** @type {string} */ proposal) => (list.closest("dialog")?.close(), log.goTo(proposal));
      fill(list, orders.map((/** @type {Order} */ order) => orderElement(order, currency, goTo)));
    } catch (error) {
      nothing(/** @type {Error} */ (error).message);
    }
  }

  function open() {
    nothing(t("log.loading"));
    const sheet = openDialog("sheet", t("buyer.orders"), h("header", h("h2", t("buyer.orders")), h("button.plain", { ariaLabel: t("buyer.close"), onclick: () => sheet.close() }, icon("x"))), list);
    orders();
  }

  const top = h(
    "header.top",
    face,
    h("div", name, presence),
    h("button.plain", { lang: otherLocale, onclick: switchLocale }, t("buyer.language")),
    h("button.plain", open, icon("box"), t("buyer.orders")),
    h("assent-connection.warn.tint"),
  );
  document.body.prepend(h("main.app", top, h("div.talk", log, waits), h("assent-composer")));
  chat.on("welcome", () => current || turnTo(`${chat.me.shop_id}.${chat.me.id}`));
  chat.on("entry", orders);
  document.addEventListener("visibilitychange", orders); // an order may move without a word in the chat
  chat.on("change presence", beforeFrame(show));
  everySecond(top, show);
}

if (begin()) phone();
