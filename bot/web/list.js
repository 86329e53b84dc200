/** <assent-list>: the conversations, who waits longest first; search; taking one. It opens one by "assent-open" {detail: id}. */

import { beforeFrame, dot, everySecond, h, keyed, spoken } from "./dom.js";
import { date, duration, t, time } from "./i18n.js";
import { attempt } from "./notices.js";
import { chat } from "./session.js";

/** @typedef {{ key: string, item?: Item, text?: string }} Row */

const DAY = 86_400_000, GROUPS = ["to_reply", "in_progress", "unassigned"];

export class AssentList extends HTMLElement {
  /** @type {Item[] | null} */ #found = null;
  #open = "";
  #turn = 0;
  /** The row that can be tabbed to; arrows go on from there. @type {HTMLElement | null} */ #at = null;
  #rows = h("div.list-rows");
  #search = h("input", { type: "search", placeholder: t("list.search"), ariaLabel: t("list.search"), oninput: () => this.#find() });

  connectedCallback() {
    this.replaceChildren(this.#search, this.#rows);
    chat.on("change typing welcome", beforeFrame(() => this.#show()));
    this.addEventListener("keydown", this.#move);
    everySecond(this, () => this.#tick());
  }

  /** The conversation that is turned to. @param {string} id */
  mark(id) {
    this.#open = id;
    this.#show();
  }

  async #find() {
    const turn = ++this.#turn;
    await new Promise((done) => setTimeout(done, 200));
    const search = this.#search.value.trim();
    const found = search && turn === this.#turn ? await attempt(chat.command("conversations", { search })) : null;
    if (turn !== this.#turn) return;
    this.#found = found?.conversations ?? null;
    this.#show();
  }

  #show() {
    const { me, items } = chat, found = this.#found;
    if (!me) return;
    const near = [...items.values()].filter(({ agent_id: agent }) => !agent || agent === me.id || me.role === "supervisor");
    const of = (/** @type {string} */ group) => near.filter((item) => item.group === group).sort((a, b) => urgency(a) - urgency(b));
    /** @type {Row[]} */
    const rows = (found ? ["found"] : GROUPS).flatMap((group) => {
      const those = found?.map((item) => items.get(item.conversation_id) ?? item) ?? of(group);
      return [{ key: group, text: `${t(`list.${group}`)} ${those.length}` }, ...those.map((item) => ({ key: item.conversation_id, item }))];
    });
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    keyed(
      this.#rows,
      rows,
      (row) => row.key,
      ({ key, item }) => (item ? this.#make(key) : h("h2.list-group")),
      (element, { item, text }) => (item ? this.#put(element, item) : (element.textContent = text)),
    );
    if (focused !== document.activeElement && this.contains(focused)) focused.focus(); // it was lost on the way to another place
    if (!this.#at?.isConnected) this.#rove(this.#rows.querySelector(".list-item"));
    this.#tick();
  }

  /** @param {string} id */
  #make(id) {
    const open = () => {
      const found = this.#found?.find((item) => item.conversation_id === id);
      if (found && !chat.items.has(id)) chat.items.set(id, found);
      openFrom(this, id);
    };
    const item = h("button.list-item", { tabIndex: -1, onclick: open, onfocus: () => this.#rove(item) });
    // With the keyboard a conversation is taken once it is open.
    const taking = h("button.list-take.primary", { tabIndex: -1, onclick: async () => (await take(id)) && (item.focus(), open()) }, t("list.take"));
    return h("div.list-row", item, taking);
  }

  /** @param {any} row @param {Item} item */
  #put(row, { conversation_id: id, agent_id, buyer_name, online, overdue, unread, line, cards: [card] = [], group, asked_ms }) {
    const [button, taking] = row.children, now = chat.now();
    const writes = chat.typing.get(id), since = group !== "in_progress" && asked_ms;
    button.ariaCurrent = String(id === this.#open);
    taking.hidden = agent_id;
    taking.ariaLabel = `${t("list.take")} ${buyer_name}`;
    const sign = [buyer_name, online, overdue, unread, line?.seq, card?.state, card?.deadline_ms, writes, since].join();
    if (row.sign === sign) return;
    row.sign = sign;
    const at = line && (now - line.at_ms < DAY ? time(line.at_ms) : date(line.at_ms, now));
    button.replaceChildren(
      dot(online),
      h("b", buyer_name, spoken(` ${t(online ? "list.online" : "list.offline")}`)),
      since ? h(overdue ? "span.list-waits.bad" : "span.list-waits", { "data-since": since, title: t("list.waits") }) : h("span.muted", at),
      h(writes ? "span.list-line.accent" : "span.list-line", writes ? t("log.typing") : line?.text),
      unread ? h("span.badge", unread > 99 ? "99+" : unread, spoken(t("list.unread"))) : "",
      card ? h("span.chip", { "data-state": card.state, "data-until": card.deadline_ms, title: t("list.card") }) : "",
    );
  }

  /** All that runs, in one go. */
  #tick() {
    const now = chat.now();
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (this.#rows.querySelectorAll("[data-since], [data-until]"))) {
      const { since, until } = element.dataset, waited = now - Number(since);
      element.textContent = duration(since ? waited : Number(until) - now);
      if (waited > chat.welcome?.reply_overdue_ms) element.classList.add("bad");
    }
  }

  /** @param {any} item */
  #rove(item) {
    if (this.#at) this.#at.tabIndex = -1;
    if (item) item.tabIndex = 0;
    this.#at = item;
  }

  /** @param {KeyboardEvent} event */
  #move = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key], from = /** @type {any} */ (event.target);
    if (!step || (from === this.#search && event.key !== "ArrowDown")) return;
    const items = /** @type {NodeListOf<HTMLElement>} */ (this.#rows.querySelectorAll(".list-item"));
    items[Math.max(0, Math.min(items.length - 1, [...items].indexOf(from) + step))]?.focus();
    event.preventDefault();
  };
}

/** Ask whoever is around an element to turn to a conversation. @param {Element} element @param {string} detail */
export const openFrom = (element, detail) => element.dispatchEvent(new CustomEvent("assent-open", { bubbles: true, detail }));

/** Take a conversation that nobody has; whether it is ours then. @param {string} id */
export const take = async (id) => Boolean(await attempt(chat.command("open", { buyer_id: id.split(".")[1] })));

/** Who waits longest, or spoke last, comes first. @param {Item} item */
const urgency = ({ group, asked_ms, line }) => (group === "in_progress" ? -(line?.at_ms ?? 0) : (asked_ms ?? 0));

customElements.define("assent-list", AssentList);
