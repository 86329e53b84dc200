/**
 * What must not be overlooked: toasts, the notice centre, the page's title, desktop notifications.
 *
 * Law: the centre keeps no record: it is read from the logs (`missed`), and goes on with what happens live.
 */

import { announce, h, icon, keyed } from "./dom.js";
import { date, t, time } from "./i18n.js";
import { chat } from "./session.js";

const DAY = 86_400_000, LASTS = 8000, QUIET = ["reply_warning", "reply_overdue"];
/** @type {Record<string, string>} */
const KINDS = { agreed: "good", rejected: "bad", reply_overdue: "bad", delayed: "info" };
const toasts = h("div", { class: "toasts" });

/** Show for a while. @param {string} title @param {string} [detail] @param {string} [kind] @param {() => void} [onclick] */
export function toast(title, detail = "", kind = "info", onclick) {
  const leave = () => (shown.matches(":hover, :focus-within") ? setTimeout(leave, LASTS) : shown.remove());
  const act = () => (shown.remove(), onclick?.());
  const shown = h("div", { class: "toast", "data-kind": kind }, h(onclick ? "button" : "div", { onclick: act }, h("b", {}, title), detail), h("button", { class: "plain", "aria-label": t("notices.dismiss"), onclick: () => shown.remove() }, icon("x")));
  setTimeout(leave, LASTS);
  if (toasts.childElementCount > 3) toasts.firstChild?.remove();
  toasts.append(shown);
  document.body.append(toasts);
  announce(`${title} ${detail}`, kind === "bad" ? "assertive" : "polite");
}

/** What a command is answered; a refusal is shown instead. @template T @param {Promise<T>} command */
export async function attempt(command) {
  try {
    return await command;
  } catch (error) {
    const { message, detail } = /** @type {import("./chat.js").CommandError} */ (error);
    toast(message, detail, "bad");
  }
}

/** The bell, and behind it the centre. @param {(id: string) => void} open */
export function noticeCentre(open) {
  /** @type {Map<string, { key: string, id: string, buyer: string, at_ms: number, notice: Frame }>} */
  const known = new Map();
  const title = document.title;
  let from = 0, seen = 0, behind = 0;
  const list = h("ol", { "data-empty": t("notices.empty") });
  const ask = h("button", { onclick: () => Notification.requestPermission().then(show) }, t("notices.ask"));
  const seenAt = () => `assent:seen:${chat.me.shop_id}.${chat.me.id}`;
  const ontoggle = () => {
    localStorage.setItem(seenAt(), String((seen = chat.now())));
    show();
  };
  const panel = h("div", { popover: "auto", class: "panel centre", role: "dialog", "aria-label": t("notices.title"), ontoggle }, h("div", { class: "centre-head" }, h("h2", {}, t("notices.title")), ask), list);
  const count = h("span", { class: "badge" });
  const bell = h("button", { class: "plain", popoverTargetElement: panel }, icon("bell"), count);

  function show() {
    const all = [...known.values()].sort((a, b) => b.at_ms - a.at_ms), unseen = all.filter(({ at_ms }) => at_ms > seen).length;
    count.textContent = unseen ? String(unseen) : "";
    bell.title = t("notices.bell", { count: unseen });
    ask.hidden = globalThis.Notification?.permission !== "default";
    keyed(list, all, ({ key }) => key, ({ id, buyer, at_ms, notice }) => {
      const at = `${chat.now() - at_ms > DAY / 2 ? date(at_ms, chat.now()) : ""} ${time(at_ms)}`;
      const turn = () => (panel.hidePopover(), open(id));
      return h("li", {}, h("button", { class: "plain", onclick: turn }, h("b", {}, buyer), h("time", { class: "muted" }, at), h("span", { "data-kind": kindOf(notice) }, notice.text), h("span", { class: "muted" }, detailOf(notice))));
    });
  }

  /** @param {string} id @param {Entry} entry */
  function take(id, { seq, at_ms, notice }) {
    const key = `${id} ${seq}`;
    if (!notice || (notice.agent_id ?? chat.me.id) !== chat.me.id || known.has(key)) return;
    const taken = { key, id, at_ms, notice, buyer: chat.items.get(id)?.buyer_name ?? notice.buyer ?? id.split(".")[1] };
    known.set(key, taken);
    return taken;
  }

  chat.addEventListener("welcome", async () => {
    if (chat.me.role !== "agent") return;
    seen = Number(localStorage.getItem(seenAt()));
    from ||= chat.now() - DAY;
    for (let since = from; since; ) {
      const page = await chat.command("missed", { since_ms: since, limit: 500 });
      for (const entry of page.entries) take(entry.conversation_id, entry);
      [from, since] = [page.now_ms, page.next_ms];
    }
    show();
    summary();
  });

  chat.addEventListener("entry", ({ detail: { id, entry } }) => {
    const taken = take(id, entry);
    if (!taken) return;
    show();
    const { notice, buyer, key } = taken, quiet = QUIET.includes(notice.code), text = quiet ? notice.text : `${buyer} · ${notice.text}`;
    const turn = () => open(id);
    toast(text, detailOf(notice), kindOf(notice), turn);
    if (quiet || document.hasFocus()) return;
    document.title = `(${++behind}) ${text}`;
    if (globalThis.Notification?.permission === "granted")
      new Notification(buyer, { body: notice.text, tag: key }).onclick = () => (window.focus(), turn());
  });
  addEventListener("focus", () => ((behind = 0), (document.title = title)));
  document.body.append(panel);
  return bell;
}

/** What an absence was like, once. */
function summary() {
  const { missed } = chat.welcome ?? {}, key = `${chat.name}:missed`, last = String(missed?.to_ms);
  if (!missed || chat.store?.getItem(key) === last) return;
  chat.store?.setItem(key, last);
  const { outcomes, new_conversations, handed_on, overdue } = missed;
  const parts = Object.entries({ ...outcomes, new_conversations, handed_on, overdue }).filter(([, count]) => count);
  if (parts.length) toast(t("notices.missed"), parts.map(([what, count]) => t(`notices.missed.${what}`, { count })).join(" · "));
}

/** @param {Frame} notice */
const kindOf = (notice) => KINDS[notice.code] ?? "warn";

/** @param {Frame} notice */
const detailOf = ({ order_id, reason }) => [order_id && t("card.order", { order: order_id }), reason?.text].filter(Boolean).join(" · ");
