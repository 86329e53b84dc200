/** The agent's workbench: the list, the chat, the buyer's orders, and what goes around them. */

import "./composer.js";
import "./connection.js";
import "./log.js";
import "./orders.js";
import "./strip.js";
import { dot, everySecond, fill, h, icon, tell } from "./dom.js";
import { switchLocale, switchTheme, t } from "./i18n.js";
import { take } from "./list.js";
import { noticeCentre } from "./notices.js";
import { quickReplies } from "./quick.js";
import { begin, chat, current, follow, item, mine, turnTo } from "./session.js";
import { attempt } from "./toast.js";
import { transfer } from "./transfer.js";

/** What an agent can do with a card. @param {Card} card */
function actions({ conversation_id, proposal_id, deadline_ms, buttons }) {
  if (!buttons.length || !mine()) return [];
  return [{ action: "remind", label: t("workbench.remind") }, ...buttons].map(({ action, label }) => {
    let sending = false;
    // One that is disabled would lose the focus to nobody.
    const act = h("button", async () => {
      if (act.ariaDisabled === "true") return;
      sending = true;
      live();
      await attempt(chat.command(action, { conversation_id, proposal_id }));
      sending = false;
      live();
    }, label);
    const live = () => (act.ariaDisabled = String(sending || chat.now() >= deadline_ms));
    everySecond(act, live);
    return act;
  });
}

function workbench() {
  const kept = `${chat.name}:open`, title = t("workbench.title");
  document.title = title;
  const button = (/** @type {string} */ name, /** @type {string} */ key, /** @type {() => any} */ onclick, look = "plain") => h(`button.${look}`, onclick, icon(name), t(key));
  const tool = (/** @type {string} */ what, /** @type {() => void} */ onclick) => h("button.plain", { title: t(`workbench.${what}`), onclick }, icon(what));

  const log = Object.assign(h("assent-log"), { actions }), composer = h("assent-composer"), orders = h("assent-orders");
  const me = h("b.cut"), name = h("h1", { id: "who" }), presence = h("span.presence.row.muted"), whose = h("span.muted.cut");
  const taking = button("plus", "list.take", take, "primary"), handing = button("transfer", "workbench.transfer", transfer);
  const ending = button("end", "workbench.end", () => attempt(chat.command("close", { conversation_id: current, seq: chat.log(current)?.entries.at(-1)?.seq })));
  const quick = button("bolt", "quick.title", () => {});
  const talk = h("section.chat", { "aria-labelledby": "who" }, h("header", name, presence, whose, taking, handing, ending), log, quick, composer);
  const nothing = h("p.nothing.muted", t("workbench.choose"));
  const status = h("button.status.row", { role: "switch", title: t("workbench.receiving"), onclick: async () => {
    const state = status.ariaChecked === "true" ? "suspended" : "online";
    if (await attempt(chat.command("status", { state }))) receive(state);
  } });

  /** Whether new conversations come here. @param {string} state */
  function receive(state) {
    const on = state !== "suspended";
    status.ariaChecked = String(on);
    fill(status, dot(on), t(on ? "workbench.online" : "workbench.suspended"));
  }

  /** The order that is spoken of: the one chosen, else the one a card is about. */
  const order = () => orders.chosen || (item()?.cards?.[0] ?? chat.log(current)?.entries.findLast(({ card }) => card)?.card)?.order_id;

  function show() {
    const one = item(), focused = /** @type {HTMLElement} */ (document.activeElement);
    nothing.hidden = Boolean(one);
    talk.hidden = !one;
    if (!one) return;
    const agent = one.agent_name, state = mine() ? "" : agent ? "taken" : one.open === false ? "closed" : "free";
    tell(name, one.buyer_name);
    fill(presence, dot(one.online), t(one.online ? "list.online" : "list.offline"));
    tell(whose, state && t(`workbench.is.${state}`, { agent }));
    taking.hidden = Boolean(agent);
    handing.hidden = ending.hidden = quick.hidden = Boolean(state);
    composer.block(state ? t(`workbench.blocked.${state}`, { agent }) : null);
    // Who used a button that is gone goes on with what is next.
    if (focused.hidden) (!taking.hidden ? taking : state ? log.querySelector("div") : composer)?.focus();
  }

  document.body.prepend(
    h("header.top", h("strong", title), h("assent-connection"), me, status, noticeCentre(), tool("theme", switchTheme), tool("globe", switchLocale)),
    h("main.columns", h("assent-strip"), h("assent-list", { role: "navigation", ariaLabel: t("list.label") }), talk, nothing, orders),
  );
  quickReplies(quick, () => ({ conversation_id: current, order_id: order() }), composer.insert);
  follow("change", show);
  chat.on("turn", () => {
    sessionStorage.setItem(kept, current);
    show();
    composer.focus();
  });
  chat.on("presence", ({ role, id, state }) => role === "agent" && id === chat.me.id && state !== "offline" && receive(state));
  chat.on("welcome", () => {
    const last = sessionStorage.getItem(kept) ?? "";
    tell(me, chat.me.name);
    status.hidden = chat.me.role !== "agent";
    receive(chat.welcome?.state);
    if (!current && chat.items.has(last)) turnTo(last);
    show();
  });
}

if (begin()) workbench();
