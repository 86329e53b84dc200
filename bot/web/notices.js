/**
 * What must not be overlooked: the notice centre, toasts, the page's title, desktop notifications.
 *
 * Law: the centre keeps no record: it is read from the logs (`missed`), and goes on with what happens live.
 */

import { h, icon, keyed, panel, tell } from "./dom.js";
import { date, dotted, t, time } from "./i18n.js";
import { chat, turnTo } from "./session.js";
import { toast } from "./toast.js";

const DAY = 86_400_000;

/** The bell, and behind it the centre. */
export function noticeCentre() {
  /** @type {Map<string, { key: string, at_ms: number, code: string, text: string, buyer: string, detail: string, turn: () => void }>} */
  const known = new Map();
  const { title } = document;
  let from = 0, seen = 0, behind = 0;
  const list = h("ol", { "data-empty": t("notices.empty") }), count = h("span.badge"), bell = h("button.plain", icon("bell"), count);
  const ask = h("button", () => Notification.requestPermission().then(show), t("notices.ask"));
  const seenAt = () => `assent:seen:${chat.me.shop_id}.${chat.me.id}`;
  const look = () => {
    localStorage.setItem(seenAt(), String((seen = chat.now())));
    show();
  };
  const centre = panel(bell, "centre", t("notices.title"), look, h("header", h("h2", t("notices.title")), ask), list);
  /** Whether the desktop may be written on. */
  const desktop = () => globalThis.Notification?.permission;

  function show() {
    const all = [...known.values()].sort((a, b) => b.at_ms - a.at_ms), unseen = all.filter(({ at_ms }) => at_ms > seen).length;
    tell(count, unseen ? String(unseen) : "");
    bell.ariaLabel = bell.title = t("notices.bell", { count: unseen });
    ask.hidden = desktop() !== "default";
    keyed(list, all, ({ key }) => key, ({ code, buyer, at_ms, text, detail, turn }) => {
      const now = chat.now(), at = `${now - at_ms > DAY / 2 ? date(at_ms, now) : ""} ${time(at_ms)}`;
      return h("li", h("button.plain", () => (centre.hidePopover(), turn()), h("b", buyer), h("time.muted", at), h(`span.${code}`, text), h("span.muted", detail)));
    });
  }

  /** @param {string} id @param {Entry} entry */
  function take(id, { seq, at_ms, notice }) {
    const key = `${id} ${seq}`;
    if (!notice || (notice.agent_id ?? chat.me.id) !== chat.me.id || known.has(key)) return;
    const { code, text, order_id, reason } = notice, buyer = chat.items.get(id)?.buyer_name ?? notice.buyer ?? id.split(".")[1];
    const turn = () => chat.items.has(id) && turnTo(id);
    const taken = { key, at_ms, code, text, buyer, turn, detail: dotted(order_id && t("card.order", { order: order_id }), reason?.text) };
    known.set(key, taken);
    return taken;
  }

  chat.on("welcome", async () => {
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

  chat.on("entry", ({ id, entry }) => {
    const taken = take(id, entry);
    if (!taken) return;
    show();
    // Of a reply that is due the text itself says whose, and nobody is called back for it.
    const { key, code, buyer, text, detail, turn } = taken, quiet = code.startsWith("reply_"), said = quiet ? text : dotted(buyer, text);
    toast(said, detail, code, turn);
    if (quiet || document.hasFocus()) return;
    document.title = `(${++behind}) ${said}`;
    if (desktop() === "granted") new Notification(buyer, { body: text, tag: key }).onclick = () => (window.focus(), turn());
  });
  addEventListener("focus", () => {
    behind = 0;
    document.title = title;
  });
  return bell;
}

/** What an absence was like, once. */
function summary() {
  const { missed } = chat.welcome ?? {}, key = `${chat.name}:missed`, until = String(missed?.to_ms);
  if (!missed || sessionStorage.getItem(key) === until) return;
  sessionStorage.setItem(key, until);
  const counts = Object.entries({ ...missed, ...missed.outcomes }).map(([what, count]) => count > 0 && t(`notices.missed.${what}`, { count }));
  if (counts.some(Boolean)) toast(t("notices.missed"), dotted(...counts));
}
