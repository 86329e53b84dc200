/** The agent's workbench: the list, the chat, the buyer's orders, and what goes around them. */

import "./composer.js";
import "./connection.js";
import "./log.js";
import "./orders.js";
import "./strip.js";
import { h, icon } from "./dom.js";
import { switchLocale, switchTheme, t } from "./i18n.js";
import { take } from "./list.js";
import { attempt, noticeCentre } from "./notices.js";
import { begin, chat } from "./session.js";

document.title = t("workbench.title");

const KEPT = `${chat.name}:open`;
let current = "";
const item = () => chat.items.get(current), mine = () => item()?.agent_id === chat.me?.id;

/** @param {string} icon_ @param {string} key @param {() => any} onclick @param {string} [look] */
const button = (icon_, key, onclick, look = "plain") => h("button", { class: look, onclick }, icon(icon_), t(key));

/** What an agent can do with a card. @param {Card} card */
function actions({ conversation_id, proposal_id, buttons }) {
  if (!buttons.length || !mine()) return [];
  return [{ action: "remind", label: t("workbench.remind") }, ...buttons].map(({ action, label }) => {
    const act = h("button", { onclick: async () => {
      act.disabled = true;
      await attempt(chat.command(action, { conversation_id, proposal_id }));
      act.disabled = false;
    } }, label);
    return act;
  });
}

const log = h("assent-log", { chat, actions }), composer = h("assent-composer", { chat });
const list = h("assent-list", { role: "navigation", "aria-label": t("list.label") }), orders = h("assent-orders", { chat });
const name = h("h1", { id: "who" }), presence = h("span", { class: "presence muted" }), whose = h("span", { class: "muted" });
const taking = button("plus", "list.take", () => take(current), "primary");
const handing = button("transfer", "workbench.transfer", async () => (await import("./transfer.js")).transfer(current));
const ending = button("end", "workbench.end", () => attempt(chat.command("close", { conversation_id: current })));
const talk = h("section", { class: "chat", "aria-labelledby": "who" }, h("header", {}, name, presence, whose, taking, handing, ending), log, composer);
const quick = button("bolt", "quick.title", async () => {
  if (quick.popoverTargetElement) return;
  const { quickReplies } = await import("./quick.js");
  quick.popoverTargetElement = quickReplies(() => ({ conversation_id: current, order_id: order() }), (text) => composer.insert(text));
  /** @type {HTMLElement} */ (quick.popoverTargetElement).showPopover();
});
/** The order that is spoken of. */
const order = () => item()?.cards?.[0]?.order_id ?? chat.log(current)?.entries.findLast(({ card }) => card)?.card?.order_id;
const nothing = h("p", { class: "nothing muted" }, t("workbench.choose"));

function show() {
  const one = item(), focused = /** @type {HTMLElement} */ (document.activeElement);
  nothing.hidden = Boolean(one);
  talk.hidden = !one;
  if (!one) return;
  const agent = one.agent_name, state = mine() ? "" : one.agent_id ? "taken" : one.open === false ? "closed" : "free";
  name.textContent = one.buyer_name;
  presence.replaceChildren(h("span", { class: one.online ? "dot on" : "dot" }), t(one.online ? "list.online" : "list.offline"));
  whose.textContent = state && t(`workbench.is.${state}`, { agent });
  taking.hidden = Boolean(one.agent_id);
  handing.hidden = ending.hidden = composer.tools.hidden = Boolean(state);
  composer.blocked = state ? t(`workbench.blocked.${state}`, { agent }) : null;
  // Who used a button that is gone goes on with what is next.
  if (focused.hidden) (state ? taking : composer).focus();
}

/** @param {string} id */
function turnTo(id) {
  if (!chat.items.has(id)) return;
  chat.store?.setItem(KEPT, (current = id));
  log.conversation = composer.conversation = orders.conversation = id;
  list.mark(id);
  show();
  composer.focus();
}

const status = h("button", { role: "switch", class: "status", title: t("workbench.receiving"), onclick: async () => {
  const state = status.ariaChecked === "true" ? "suspended" : "online";
  if (await attempt(chat.command("status", { state }))) receive(state);
} });

/** Whether new conversations come here. @param {string} state */
function receive(state) {
  const on = state !== "suspended";
  status.ariaChecked = String(on);
  status.replaceChildren(h("span", { class: on ? "dot on" : "dot" }), t(on ? "workbench.online" : "workbench.suspended"));
}

if (begin()) {
  const me = h("b"), tool = (/** @type {string} */ what, /** @type {() => void} */ onclick) => h("button", { class: "plain", title: t(`workbench.${what}`), onclick }, icon(what));
  composer.tools.append(quick);
  document.body.prepend(
    h("header", { class: "top" }, h("strong", {}, t("workbench.title")), h("assent-connection", { chat }), me, status, noticeCentre(turnTo), tool("theme", switchTheme), tool("globe", switchLocale)),
    h("main", { class: "columns" }, h("assent-strip", { chat }), list, talk, nothing, orders),
  );
  document.body.addEventListener("assent-open", (event) => turnTo(/** @type {CustomEvent} */ (event).detail));
  chat.addEventListener("change", ({ detail }) => detail.id === current && show());
  chat.addEventListener("presence", ({ detail: { role, id, state } }) => role === "agent" && id === chat.me.id && state !== "offline" && receive(state));
  chat.addEventListener("welcome", () => {
    me.textContent = chat.me.name;
    status.hidden = chat.me.role !== "agent";
    receive(chat.welcome?.state);
    if (!current) turnTo(chat.store?.getItem(KEPT) ?? "");
    show();
  });
}
