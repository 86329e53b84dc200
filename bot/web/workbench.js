/** The agent's workbench: the list, the chat, the buyer's orders, and what goes around them. */

import "./composer.js";
import "./connection.js";
import "./log.js";
import "./orders.js";
import "./strip.js";
import { dot, everySecond, h, icon } from "./dom.js";
import { duration, switchLocale, switchTheme, t } from "./i18n.js";
import { take } from "./list.js";
import { attempt, noticeCentre } from "./notices.js";
import { begin, chat } from "./session.js";

document.title = t("workbench.title");

const KEPT = `${chat.name}:open`;
let current = "";
const item = () => chat.items.get(current), mine = () => item()?.agent_id === chat.me?.id;

/** @param {string} name @param {string} key @param {() => any} onclick @param {string} [look] */
const button = (name, key, onclick, look = "plain") => h(`button.${look}`, onclick, icon(name), t(key));

/** What an agent can do with a card. @param {Card} card */
function actions(card) {
  const { conversation_id, proposal_id, deadline_ms, buttons } = card;
  if (!buttons.length || !mine()) return [];
  return [{ action: "remind", label: t("workbench.remind") }, ...buttons].map(({ action, label }) => {
    let sending = false, sent = 0;
    // One that is disabled would lose the focus to nobody.
    const act = h("button", async () => {
      if (act.ariaDisabled === "true") return;
      sending = true;
      live();
      if (await attempt(chat.command(action, { conversation_id, proposal_id }))) sent = chat.now();
      sending = false;
      live();
    }, label);
    const live = () => {
      const now = chat.now(), next = action === "remind" ? nextReminder(card, sent) : 0;
      act.ariaDisabled = String(sending || now < next || now >= deadline_ms);
      act.title = now < next && next < deadline_ms ? t("workbench.again", { left: duration(next - now) }) : "";
    };
    everySecond(act, live);
    return act;
  });
}

/** When a card can be reminded of again: once in each quarter of its time. @param {Card} card @param {number} sent */
function nextReminder({ conversation_id, proposal_id, created_ms, deadline_ms }, sent) {
  const entry = chat.log(conversation_id)?.entries.findLast(({ system }) => system?.code === "reminded" && system.proposal_id === proposal_id);
  const last = Math.max(sent, entry?.at_ms ?? 0), quarter = (deadline_ms - created_ms) / 4;
  return last && created_ms + (Math.floor((last - created_ms) / quarter) + 1) * quarter;
}

const log = h("assent-log", { actions }), composer = h("assent-composer");
const list = h("assent-list", { role: "navigation", ariaLabel: t("list.label") }), orders = h("assent-orders");
const name = h("h1", { id: "who" }), presence = h("span.presence.row.muted"), whose = h("span.muted");
const taking = button("plus", "list.take", () => take(current), "primary");
const handing = button("transfer", "workbench.transfer", async () => {
  await (await attempt(import("./transfer.js")))?.transfer(current);
  if (handing.hidden) goOn();
});
const ending = button("end", "workbench.end", () => attempt(chat.command("close", { conversation_id: current, seq: chat.log(current)?.entries.at(-1)?.seq })));
const talk = h("section.chat", { "aria-labelledby": "who" }, h("header", name, presence, whose, taking, handing, ending), log, composer);
const quick = button("bolt", "quick.title", async () => {
  if (quick.popoverTargetElement) return;
  const panel = (await attempt(import("./quick.js")))?.quickReplies(() => ({ conversation_id: current, order_id: order() }), (text) => composer.insert(text));
  quick.popoverTargetElement = panel ?? null;
  panel?.showPopover();
});
/** The order that is spoken of. */
const order = () => item()?.cards?.[0]?.order_id ?? chat.log(current)?.entries.findLast(({ card }) => card)?.card?.order_id;
const nothing = h("p.nothing.muted", t("workbench.choose"));

function show() {
  const one = item(), focused = /** @type {HTMLElement} */ (document.activeElement);
  nothing.hidden = Boolean(one);
  talk.hidden = !one;
  if (!one) return;
  const agent = one.agent_name, state = mine() ? "" : one.agent_id ? "taken" : one.open === false ? "closed" : "free";
  name.textContent = one.buyer_name;
  presence.replaceChildren(dot(one.online), t(one.online ? "list.online" : "list.offline"));
  whose.textContent = state && t(`workbench.is.${state}`, { agent });
  taking.hidden = Boolean(one.agent_id);
  handing.hidden = ending.hidden = composer.tools.hidden = Boolean(state);
  composer.blocked = state ? t(`workbench.blocked.${state}`, { agent }) : null;
  if (focused.hidden) goOn();
}

/** Who used a button that is gone goes on with what is next. */
const goOn = () => (!taking.hidden ? taking : mine() ? composer : log.querySelector("div"))?.focus();

/** @param {string} id */
function turnTo(id) {
  if (!chat.items.has(id)) return;
  chat.store?.setItem(KEPT, (current = id));
  log.conversation = composer.conversation = orders.conversation = id;
  list.mark(id);
  show();
  composer.focus();
}

const status = h("button.status.row", { role: "switch", title: t("workbench.receiving"), onclick: async () => {
  const state = status.ariaChecked === "true" ? "suspended" : "online";
  if (await attempt(chat.command("status", { state }))) receive(state);
} });

/** Whether new conversations come here. @param {string} state */
function receive(state) {
  const on = state !== "suspended";
  status.ariaChecked = String(on);
  status.replaceChildren(dot(on), t(on ? "workbench.online" : "workbench.suspended"));
}

if (begin()) {
  const me = h("b"), tool = (/** @type {string} */ what, /** @type {() => void} */ onclick) => h("button.plain", { title: t(`workbench.${what}`), onclick }, icon(what));
  composer.tools.append(quick);
  document.body.prepend(
    h("header.top", h("strong", t("workbench.title")), h("assent-connection"), me, status, noticeCentre(turnTo), tool("theme", switchTheme), tool("globe", switchLocale)),
    h("main.columns", h("assent-strip"), list, talk, nothing, orders),
  );
  document.body.addEventListener("assent-open", (event) => turnTo(/** @type {CustomEvent} */ (event).detail));
  chat.on("change", ({ id }) => id === current && show());
  chat.on("presence", ({ role, id, state }) => role === "agent" && id === chat.me.id && state !== "offline" && receive(state));
  chat.on("welcome", () => {
    me.textContent = chat.me.name;
    status.hidden = chat.me.role !== "agent";
    receive(chat.welcome?.state);
    if (!current) turnTo(chat.store?.getItem(KEPT) ?? "");
    show();
  });
}
