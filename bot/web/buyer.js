/** The buyer's chat, a phone screen: the talk with the shop, cards to answer, what became of them, and the orders. */

import "./composer.js";
import "./connection.js";
import "./log.js";
import { cardElement, stateChip } from "./card.js";
import { announce, beforeFrame, everySecond, h, icon } from "./dom.js";
import { duration, money, otherLocale, switchLocale, t } from "./i18n.js";
import { begin, chat } from "./session.js";

/** @import { Order } from "./types" */

const TOAST_LASTS = 6000;

/** The answer to a card: a click, then a confirmation. Law: a button is live only while a click counts. @param {Card} card */
function answer(card) {
  const { proposal_id, conversation_id, version, deadline_ms } = card;
  const why = h("p.muted");
  let sending = false;
  const live = () => {
    const no = sending ? "sending" : deadline_ms <= chat.now() ? "over" : chat.state === "connected" ? "" : "offline";
    // A button that is disabled loses the focus to nobody.
    if (no && element.querySelector("button:focus")) /** @type {HTMLElement} */ (element.firstChild).focus();
    for (const button of element.querySelectorAll("button")) button.disabled = Boolean(no);
    why.textContent = no && t(`buyer.why.${no}`);
  };
  const element = h("div.answer", { onlive: live });
  const button = (action = "", text = "", onclick = () => {}) => h(/agree|yes/.test(action) ? "button.primary" : "button", { "data-action": action, onclick }, text);
  /** The two answers, or once more the one that was chosen. */
  const show = (step = "", focus = "") => {
    const ask = step && t(`buyer.${step}.ask`), label = t("buyer.reason");
    const reason = step === "reject" && h("textarea", { rows: 2, maxLength: 200, placeholder: label, ariaLabel: label });
    const buttons = step
      ? [button("yes", t(`buyer.${step}.yes`), () => send(step, reason && reason.value.trim())), button("no", t("buyer.back"), () => show("", `[data-action=${step}]`))]
      : card.buttons.map(({ action, label }) => button(action, label, () => show(action, "textarea, button")));
    element.replaceChildren(h("div", { role: "group", tabIndex: -1, ariaLabel: ask }, ask && h("p", ask), reason, h("div.answers", buttons), why));
    live();
    if (focus) /** @type {HTMLElement} */ (element.querySelector(focus)).focus();
  };
  const send = async (action = "", /** @type {string | false} */ comment) => {
    sending = true;
    live();
    try {
      // What becomes of it comes as an entry, here as on every other device.
      await chat.command("answer", { conversation_id, proposal_id, version, action, ...(comment && { comment }) });
    } catch (error) {
      const { message, detail, card: now } = /** @type {import("./chat.js").CommandError} */ (error);
      toast(`${message} · ${detail}`);
      if (now) element.closest(".card")?.replaceWith(cardElement(now, chat, ...actions(now)));
      sending = false;
      live();
    }
  };
  show();
  everySecond(element, live);
  return element;
}

const actions = (/** @type {Card} */ card) => (card.buttons.length ? [answer(card)] : []);

const id = () => `${chat.me.shop_id}.${chat.me.id}`;
const log = h("assent-log", { actions, onclick: reminded });
const composer = h("assent-composer", { hint: t("buyer.write") });
const face = h("span.face.is-good", { ariaHidden: "true" }), name = h("h1"), presence = h("p.presence.muted"), left = h("b");
const waits = h("button.waits.is-warn", { hidden: true, onclick: () => goTo(waits.value) }, icon("clock"), h("span", t("buyer.waits")), left, icon("right"));
const said = h("p.toast", { hidden: true });
const list = h("ul", nothing(t("log.loading")));
const sheet = h(
  "dialog.sheet",
  { ariaLabel: t("buyer.orders"), onclick: (/** @type {Event} */ { target }) => target === sheet && sheet.close() },
  h("header", h("h2", t("buyer.orders")), h("button.plain", { ariaLabel: t("buyer.close"), onclick: () => sheet.close() }, icon("x"))),
  list,
);

let gone = 0;
function toast(text = "") {
  said.textContent = text;
  said.hidden = false;
  announce(text, true);
  clearTimeout(gone);
  gone = setTimeout(() => (said.hidden = true), TOAST_LASTS);
}

/** @returns {HTMLElement | null | undefined} the card of a proposal, where it stands in the log */
function cardOf(proposal = "") {
  const entry = chat.log(id())?.entries.find((one) => one.card?.proposal_id === proposal);
  return entry && log.querySelector(`[data-key="${entry.seq}"] .card`);
}

/** Show a card and give it the focus, however long ago it was sent. */
async function goTo(proposal = "") {
  while (!cardOf(proposal) && (await chat.older(id()))) await new Promise(requestAnimationFrame);
  const card = cardOf(proposal);
  if (!card) return;
  card.tabIndex = -1;
  card.scrollIntoView({ block: "center" });
  card.focus({ preventScroll: true });
  show();
}

/** A reminder points to its card. @param {any} event */
function reminded({ target }) {
  const key = target.closest(".log-line")?.dataset.key;
  const proposal = chat.log(id())?.entries.find(({ seq }) => `line ${seq}` === key)?.system?.proposal_id;
  if (proposal) goTo(proposal);
}

/** Who is there, and what waits out of sight. */
function show() {
  const item = chat.me && chat.items.get(id()), agent = item?.agent_name;
  const card = item?.cards?.find((/** @type {Frame} */ { state }) => state === "pending");
  const place = card && cardOf(card.proposal_id)?.getBoundingClientRect(), view = log.getBoundingClientRect();
  name.textContent = document.title = agent ?? t("buyer.service");
  face.textContent = name.textContent.slice(0, 1);
  presence.dataset.state = agent && item?.online ? "online" : "";
  presence.textContent = t(!item || item.open === false ? "buyer.ready" : !agent ? "buyer.queue" : item.online ? "buyer.online" : "buyer.away");
  waits.hidden = !card || Boolean(place && place.bottom > view.top + 60 && place.top < view.bottom - 60);
  waits.value = card?.proposal_id ?? "";
  left.textContent = card ? duration(card.deadline_ms - chat.now()) : "";
}

async function orders() {
  if (!sheet.open) return;
  try {
    const { orders, currency } = await chat.command("orders", { conversation_id: id() });
    list.replaceChildren(...orders.map((/** @type {Order} */ order) => orderElement(order, currency)));
    if (!orders.length) list.append(nothing(t("buyer.none")));
  } catch (error) {
    list.replaceChildren(nothing(/** @type {Error} */ (error).message));
  }
}

function nothing(text = "") {
  return h("li.box.muted", text);
}

/** @param {Order} order @param {string} currency */
function orderElement({ id, label, status, tags, lines, total_cents, card }, currency) {
  return h(
    "li.box",
    h("p", h("small", id), tags.map((tag) => h("span.chip", tag.label)), h("b", label)),
    lines.flatMap(({ title, unit_price_cents, spec, quantity }) => [
      h("p", title, h("span", money(unit_price_cents, currency))),
      h("p", h("small", spec), h("small", `× ${quantity}`)),
    ]),
    h("p", h("small", t(status === "unpaid" ? "buyer.due" : "buyer.total")), h("b", money(total_cents, currency))),
    card && h("button", () => (sheet.close(), goTo(card.proposal_id)), stateChip(card), card.title, icon("right")),
  );
}

if (begin()) {
  const top = h(
    "header.top",
    face,
    h("div", name, presence),
    h("button.plain", { lang: otherLocale, onclick: switchLocale }, t("buyer.language")),
    h("button.plain", () => (sheet.showModal(), orders()), icon("box"), t("buyer.orders")),
    h("assent-connection.is-warn"),
  );
  document.body.append(h("main.app", top, h("div.talk", log, waits, said), composer), sheet);
  chat.on("welcome", () => (log.conversation = composer.conversation = id()));
  chat.on("state", () => log.querySelectorAll(".answer").forEach((one) => one.dispatchEvent(new Event("live"))));
  chat.on("entry", orders);
  document.addEventListener("visibilitychange", orders); // an order may move without a word in the chat
  chat.on("change presence", beforeFrame(show));
  everySecond(top, show);
}
