/** <assent-list>: the conversations, who waits longest first; search; taking one. It opens one by "assent-open" {detail: id}. */

import { everySecond, h, keyed } from "./dom.js";
import { date, duration, t, time } from "./i18n.js";
import { attempt } from "./notices.js";
import { chat } from "./session.js";

/** @typedef {{ key: string, item?: Item, text?: string }} Row */

const DAY = 86_400_000, GROUPS = ["to_reply", "in_progress", "unassigned"];

export class AssentList extends HTMLElement {
  /** @type {Item[] | null} */ #found = null;
  #open = "";
  #soon = 0;
  #turn = 0;
  /** The row that can be tabbed to; arrows go on from there. @type {HTMLElement | null} */ #at = null;
  #rows = h("div", { class: "list-rows" });
  #search = h("input", { type: "search", placeholder: t("list.search"), "aria-label": t("list.search"), oninput: () => this.#find() });

  connectedCallback() {
    this.replaceChildren(this.#search, this.#rows);
    for (const type of ["change", "typing", "welcome"]) chat.addEventListener(type, () => (this.#soon ||= setTimeout(() => this.#show(), 30)));
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
    this.#soon = 0;
    if (!chat.me) return;
    const near = [...chat.items.values()].filter((item) => !item.agent_id || item.agent_id === chat.me.id || chat.me.role === "supervisor");
    /** @type {[string, Item[]][]} */
    const groups = this.#found
      ? [["found", this.#found.map((item) => chat.items.get(item.conversation_id) ?? item)]]
      : GROUPS.map((group) => [group, near.filter((item) => item.group === group).sort((a, b) => urgency(a) - urgency(b))]);
    /** @type {Row[]} */
    const rows = groups.flatMap(([group, items]) => [
      { key: group, text: `${t(`list.${group}`)} ${items.length}` },
      ...items.map((item) => ({ key: item.conversation_id, item })),
    ]);
    const focused = /** @type {HTMLElement} */ (document.activeElement);
    keyed(this.#rows, rows, (row) => row.key, ({ key, item }) => (item ? this.#make(key) : h("h2", { class: "list-group" })), (element, { item, text }) => (item ? this.#put(element, item) : (element.textContent = text ?? "")));
    if (focused !== document.activeElement && this.contains(focused)) focused.focus(); // it was lost on the way to another place
    if (!this.#at?.isConnected) this.#rove(this.#rows.querySelector(".list-item"));
    this.#tick();
  }

  /** @param {string} id */
  #make(id) {
    const open = () => {
      const found = this.#found?.find((item) => item.conversation_id === id);
      if (found && !chat.items.has(id)) chat.items.set(id, found);
      this.dispatchEvent(new CustomEvent("assent-open", { bubbles: true, detail: id }));
    };
    const onclick = async (/** @type {any} */ { target }) => (await take(id)) && (target.previousSibling.focus(), open());
    const onfocus = (/** @type {Event} */ event) => this.#rove(event.target);
    // With the keyboard a conversation is taken once it is open.
    return h("div", { class: "list-row" }, h("button", { class: "list-item", tabIndex: -1, onclick: open, onfocus }), h("button", { class: "list-take primary", tabIndex: -1, onclick }, t("list.take")));
  }

  /** @param {any} row @param {Item} item */
  #put(row, item) {
    const [button, taking] = row.children, { buyer_name, online, overdue, unread, line, cards: [card] = [] } = item, now = chat.now();
    const writes = chat.typing.get(item.conversation_id), asked = item.group === "in_progress" ? null : item.asked_ms;
    button.setAttribute("aria-current", item.conversation_id === this.#open);
    taking.hidden = item.agent_id;
    taking.setAttribute("aria-label", `${t("list.take")} ${buyer_name}`);
    const sign = [buyer_name, online, overdue, unread, line?.seq, card?.state, card?.deadline_ms, writes, asked].join();
    if (row.sign === sign) return;
    row.sign = sign;
    const at = line ? (now - line.at_ms < DAY ? time(line.at_ms) : date(line.at_ms, now)) : "";
    button.replaceChildren(
      h("span", { class: online ? "dot on" : "dot" }),
      h("b", {}, buyer_name, h("span", { class: "sr-only" }, ` ${t(online ? "list.online" : "list.offline")}`)),
      asked ? h("span", { class: overdue ? "list-waits bad" : "list-waits", "data-since": asked, title: t("list.waits") }) : h("span", { class: "muted" }, at),
      h("span", { class: writes ? "list-line accent" : "list-line" }, writes ? t("log.typing") : line?.text ?? ""),
      unread ? h("span", { class: "badge" }, unread > 99 ? "99+" : unread, h("span", { class: "sr-only" }, t("list.unread"))) : "",
      card ? h("span", { class: "chip", "data-state": card.state, "data-until": card.deadline_ms, title: t("list.card") }) : "",
    );
  }

  /** All that runs, in one go. */
  #tick() {
    const now = chat.now();
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (this.#rows.querySelectorAll("[data-since], [data-until]"))) {
      const { since, until } = element.dataset;
      element.textContent = duration(since ? now - Number(since) : Number(until) - now);
      if (since && now - Number(since) > chat.welcome?.reply_overdue_ms) element.classList.add("bad");
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

/** Take a conversation that nobody has; whether it is ours then. @param {string} id */
export const take = async (id) => Boolean(await attempt(chat.command("open", { buyer_id: id.split(".")[1] })));

/** Who waits longest, or spoke last, comes first. @param {Item} item */
const urgency = ({ group, asked_ms, line }) => (group === "in_progress" ? -(line?.at_ms ?? 0) : (asked_ms ?? 0));

customElements.define("assent-list", AssentList);
