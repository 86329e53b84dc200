/** <assent-list>: the conversations, who waits longest first; search; taking one. Arrows go from one to the next, Tab from
 * one that can be taken to its button. */

import { beforeFrame, define, dot, everySecond, fill, h, keyed, spoken, tell } from "./dom.js";
import { date, duration, t, time } from "./i18n.js";
import { chat, current, mine, turnTo } from "./session.js";
import { attempt } from "./toast.js";

/** @typedef {{ key: string, item?: Item, text?: string }} Row */

const DAY = 86_400_000, GROUPS = ["to_reply", "in_progress", "unassigned"];

define("assent-list", (self) => {
  /** @type {Item[] | null} */ let found = null;
  let turn = 0;
  /** The row that can be tabbed to; arrows go on from there. @type {Element | null} */ let at = null;
  const rows = h("div.list-rows");
  const search = h("input", { type: "search", placeholder: t("list.search"), ariaLabel: t("list.search"), oninput: find });

  async function find() {
    const asked = ++turn;
    await new Promise((done) => setTimeout(done, 200));
    const wanted = search.value.trim();
    const answer = wanted && asked === turn && (await attempt(chat.command("conversations", { search: wanted })));
    if (asked !== turn) return;
    found = (answer && answer.conversations) || null;
    show();
  }

  function show() {
    const { me, items } = chat;
    if (!me) return;
    const near = [...items.values()].filter((item) => !item.agent_id || mine(item) || me.role === "supervisor");
    const of = (/** @type {string} */ group) =>
      found?.map((item) => items.get(item.conversation_id) ?? item) ?? near.filter((item) => item.group === group).sort((a, b) => urgency(a) - urgency(b));
    /** @type {Row[]} */
    const all = (found ? ["found"] : GROUPS).flatMap((group) => {
      const those = of(group);
      return [{ key: group, text: `${t(`list.${group}`)} ${those.length}` }, ...those.map((item) => ({ key: item.conversation_id, item }))];
    });
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    keyed(rows, all, ({ key }) => key, ({ key, item }) => (item ? make(key) : h("h2.list-group")), (row, { item, text }) => (item ? put(row, item) : tell(row, text)));
    if (self.contains(focused)) focused.focus(); // it may have been lost on the way to another place
    if (!at?.isConnected) rove(rows.querySelector(".list-row"));
    tick();
  }

  /** @param {string} id */
  function make(id) {
    const open = () => {
      const one = found?.find((item) => item.conversation_id === id);
      if (one && !chat.items.has(id)) chat.items.set(id, one);
      turnTo(id);
    };
    const item = h("button.list-item", { tabIndex: -1, onclick: open });
    const taking = h("button.list-take.primary", { tabIndex: -1, onclick: async () => (await take(id)) && (item.focus(), open()) }, t("list.take"));
    const row = h("div.list-row", { onfocusin: () => rove(row) }, item, taking);
    return row;
  }

  /** @param {any} row @param {Item} item */
  function put(row, { conversation_id: id, agent_id, buyer_name, online, overdue, unread, line, cards: [card] = [], group, asked_ms }) {
    const [button, taking] = row.children, now = chat.now();
    const writes = chat.typing.get(id), since = group !== "in_progress" && asked_ms;
    button.ariaCurrent = String(id === current);
    taking.hidden = agent_id;
    taking.ariaLabel = `${t("list.take")} ${buyer_name}`;
    const sign = [buyer_name, online, overdue, unread, line?.seq, card?.state, card?.deadline_ms, writes, since].join();
    if (row.sign === sign) return;
    row.sign = sign;
    const when = line && (now - line.at_ms < DAY ? time(line.at_ms) : date(line.at_ms, now));
    fill(
      button,
      dot(online),
      h("b.cut", buyer_name, spoken(` ${t(online ? "list.online" : "list.offline")}`)),
      since ? h(overdue ? "span.bad" : "span.warn", { "data-since": since, title: t("list.waits") }) : h("span.muted", when),
      h(`span.list-line.cut.${writes ? "good" : "muted"}`, writes ? t("log.typing") : line?.text),
      unread ? h("span.badge", unread > 99 ? "99+" : unread, spoken(t("list.unread"))) : "",
      card ? h(`span.chip.${card.state}`, { "data-until": card.deadline_ms, title: t("list.card") }) : "",
    );
  }

  /** All that runs, in one go. */
  function tick() {
    const now = chat.now();
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (rows.querySelectorAll("[data-since], [data-until]"))) {
      const { since, until } = element.dataset, waited = now - Number(since);
      tell(element, duration(since ? waited : Number(until) - now));
      if (waited > chat.welcome?.reply_overdue_ms) element.classList.add("bad");
    }
  }

  /** @param {Element | null} row */
  function rove(row) {
    for (const button of /** @type {any} */ ([...(at?.children ?? []), ...(row?.children ?? [])])) button.tabIndex = button.parentNode === row ? 0 : -1;
    at = row;
  }

  self.append(search, rows);
  self.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key], from = event.target;
    if (!step || (from === search && event.key !== "ArrowDown")) return;
    const items = [.../** @type {NodeListOf<HTMLElement>} */ (rows.querySelectorAll(".list-item"))];
    const here = from === search ? -1 : items.findIndex((item) => item.parentNode === at);
    items[Math.max(0, Math.min(items.length - 1, here + step))]?.focus();
    event.preventDefault();
  });
  chat.on("change typing welcome turn", beforeFrame(show));
  everySecond(self, tick);
});

/** Take a conversation that nobody has; whether it is ours then. @param {string} id */
export const take = async (id = current) => Boolean(await attempt(chat.command("open", { buyer_id: id.split(".")[1] })));

/** Who waits longest, or spoke last, comes first. @param {Item} item */
const urgency = ({ group, asked_ms, line }) => (group === "in_progress" ? -(line?.at_ms ?? 0) : (asked_ms ?? 0));
