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
const toasts = document.body.appendChild(h("div.toasts"));
/** Whether the desktop may be written on. */
const desktop = () => globalThis.Notification?.permission;

/** Show for a while. @param {string} title @param {string} [detail] @param {string} [kind] @param {() => void} [onclick] */
export function toast(title, detail = "", kind = "info", onclick) {
  const dismiss = () => shown.remove(), act = () => (dismiss(), onclick?.());
  const leave = () => (shown.matches(":hover, :focus-within") ? setTimeout(leave, LASTS) : dismiss());
  const shown = h(
    "div.toast.box",
    { "data-kind": kind },
    h(onclick ? "button" : "div", act, h("b", title), detail),
    h("button.plain", { ariaLabel: t("notices.dismiss"), onclick: dismiss }, icon("x")),
  );
  setTimeout(leave, LASTS);
  if (toasts.childElementCount > 3) toasts.firstChild?.remove();
  toasts.append(shown);
  announce(`${title} ${detail}`, kind === "bad");
}

/** What a command is answered, or a module; a refusal is shown instead. @template T @param {Promise<T>} answer */
export async function attempt(answer) {
  try {
    return await answer;
  } catch (error) {
    const { problem, detail } = /** @type {import("./chat.js").CommandError} */ (error);
    toast(problem?.title ?? t("connection.offline"), detail, "bad");
  }
}

/** The bell, and behind it the centre. @param {(id: string) => void} open */
export function noticeCentre(open) {
  /** @type {Map<string, { key: string, id: string, at_ms: number, code: string, text: string, buyer: string, kind: string, detail: string }>} */
  const known = new Map();
  const { title } = document;
  let from = 0, seen = 0, behind = 0;
  const list = h("ol", { "data-empty": t("notices.empty") });
  const ask = h("button", () => Notification.requestPermission().then(show), t("notices.ask"));
  const seenAt = () => `assent:seen:${chat.me.shop_id}.${chat.me.id}`;
  const ontoggle = () => {
    localStorage.setItem(seenAt(), String((seen = chat.now())));
    show();
  };
  const panel = h(
    "div.panel.centre.box",
    { popover: "auto", role: "dialog", ariaLabel: t("notices.title"), ontoggle },
    h("div.row", h("h2", t("notices.title")), ask),
    list,
  );
  const count = h("span.badge"), bell = h("button.plain", { popoverTargetElement: panel }, icon("bell"), count);

  function show() {
    const all = [...known.values()].sort((a, b) => b.at_ms - a.at_ms), unseen = all.filter(({ at_ms }) => at_ms > seen).length;
    count.textContent = unseen ? String(unseen) : "";
    bell.ariaLabel = bell.title = t("notices.bell", { count: unseen });
    ask.hidden = desktop() !== "default";
    keyed(list, all, ({ key }) => key, ({ id, buyer, at_ms, kind, text, detail }) => {
      const now = chat.now(), at = `${now - at_ms > DAY / 2 ? date(at_ms, now) : ""} ${time(at_ms)}`;
      const turn = () => (panel.hidePopover(), open(id));
      return h("li", h("button.plain", turn, h("b", buyer), h("time.muted", at), h("span", { "data-kind": kind }, text), h("span.muted", detail)));
    });
  }

  /** @param {string} id @param {Entry} entry */
  function take(id, { seq, at_ms, notice }) {
    const key = `${id} ${seq}`;
    if (!notice || (notice.agent_id ?? chat.me.id) !== chat.me.id || known.has(key)) return;
    const { code, text, order_id, reason } = notice;
    const buyer = chat.items.get(id)?.buyer_name ?? notice.buyer ?? id.split(".")[1];
    const detail = [order_id && t("card.order", { order: order_id }), reason?.text].filter(Boolean).join(" · ");
    const taken = { key, id, at_ms, code, text, buyer, kind: KINDS[code] ?? "warn", detail };
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
    const { key, code, buyer, kind, detail } = taken, quiet = QUIET.includes(code);
    const text = quiet ? taken.text : `${buyer} · ${taken.text}`, turn = () => open(id);
    toast(text, detail, kind, turn);
    if (quiet || document.hasFocus()) return;
    document.title = `(${++behind}) ${text}`;
    if (desktop() === "granted")
      new Notification(buyer, { body: taken.text, tag: key }).onclick = () => (window.focus(), turn());
  });
  addEventListener("focus", () => ((behind = 0), (document.title = title)));
  document.body.append(panel);
  return bell;
}

/** What an absence was like, once. */
function summary() {
  const { missed } = chat.welcome ?? {}, key = `${chat.name}:missed`, last = String(missed?.to_ms);
  if (!missed || sessionStorage.getItem(key) === last) return;
  sessionStorage.setItem(key, last);
  const { outcomes, new_conversations, handed_on, overdue } = missed;
  const counts = Object.entries({ ...outcomes, new_conversations, handed_on, overdue }).filter(([, count]) => count);
  if (counts.length) toast(t("notices.missed"), counts.map(([what, count]) => t(`notices.missed.${what}`, { count })).join(" · "));
}
