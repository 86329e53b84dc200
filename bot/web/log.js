/**
 * The messages of one conversation, for either side.
 *
 * Law: a card stands once, where it was sent, as it is now; what became of it is a line, where it happened. Who reads
 * at the end stays at the end, who reads above stays where they are.
 */

import { cardElement } from "./card.js";
import { announce, beforeFrame, h, icon, keyed } from "./dom.js";
import { date, t, time } from "./i18n.js";
import { chat } from "./session.js";

/** @typedef {{ key: string, sign: string, look: string, parts: () => any[], read?: string }} Row  `sign`: what `parts` depend on */

const NEAR_END = 48, NEAR_TOP = 600, PAGE = 200;

export class AssentLog extends HTMLElement {
  /** A card's buttons. @type {(card: Card) => HTMLElement[]} */
  actions = () => [];
  /** @type {string | null} */ #id = null;
  #rows = h("ol.log-rows");
  #note = h("p.log-note");
  #scroller = h("div.log-scroll", { tabIndex: 0, role: "group", ariaLabel: t("log.label"), onscroll: () => this.#scrolled() }, this.#rows, this.#note);
  #down = h("button.log-down", { hidden: true, onclick: () => (this.#scroller.focus(), this.#toEnd()) });
  #atEnd = true;
  #top = 0;
  /** The oldest seq shown: at the end nobody needs thousands of rows. */
  #from = 0;
  #below = 0;
  #readTo = 0;
  #later = beforeFrame(() => this.#show());

  connectedCallback() {
    this.replaceChildren(this.#scroller, this.#down);
    chat.on("change", ({ id }) => id === this.#id && this.#later());
    chat.on("entry", ({ id, entry }) => id === this.#id && this.#heard(entry));
    chat.on("outbox typing state", this.#later);
    for (const type of ["focus", "visibilitychange"]) addEventListener(type, () => this.#read());
    const observer = new ResizeObserver(() => this.#atEnd && this.#toEnd());
    for (const element of [this.#rows, this.#scroller]) observer.observe(element);
    this.#later();
  }

  get conversation() {
    return this.#id;
  }

  set conversation(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#rows.replaceChildren();
    this.#atEnd = true;
    this.#readTo = 0;
    this.#later();
  }

  #show() {
    const id = this.#id, log = id ? chat.log(id) : undefined, entries = log?.entries ?? [];
    this.#note.textContent = id && chat.typing.get(id) ? t("log.typing") : !id || entries.length ? "" : t(log?.loading ? "log.loading" : "log.empty");
    if (!id || !chat.me) return;
    if (chat.items.has(id)) chat.load(id).catch((error) => (this.#note.textContent = error.message));
    if (this.#atEnd) this.#from = entries.length > 2 * PAGE ? entries[entries.length - PAGE].seq : 0;
    const top = this.#scroller.getBoundingClientRect().top;
    // Not a date: it goes up when earlier messages of its day come.
    const first = this.#atEnd ? null : [...this.#rows.children].find((row) => row.className !== "log-day" && row.getBoundingClientRect().bottom > top);
    const before = first?.getBoundingClientRect().top ?? 0;
    keyed(this.#rows, this.#list(id, entries.filter(({ seq }) => seq >= this.#from)), (row) => row.key, () => h("li"), (element, row) => this.#put(element, row));
    if (first) this.#scroller.scrollTop += first.getBoundingClientRect().top - before;
    else this.#toEnd();
    this.#read();
  }

  /** @param {string} id @param {Entry[]} entries */
  #list(id, entries) {
    const { me } = chat, item = chat.items.get(id), buyer = me.role === "buyer";
    const seen = item?.read?.[buyer ? "agent" : "buyer"] ?? 0;
    /** @type {Map<string, Card>} */ const cards = new Map();
    for (const { card } of entries) if (card) cards.set(card.proposal_id, card);
    /** @type {Row[]} */ const rows = [];
    /** When I said what: it may be heard before it is acknowledged. @type {Map<string, number>} */ const said = new Map();
    let day = 0, last = "";
    for (const entry of entries) {
      const { seq, at_ms, text, notice, system } = entry, key = `${seq}`, proposal = entry.card?.proposal_id ?? "";
      if (!text && !proposal && !notice && !system) continue;
      const begins = new Date(at_ms).setHours(0, 0, 0, 0), at = () => h("time", time(at_ms));
      if (begins !== day) {
        const sign = date(at_ms, chat.now());
        rows.push({ key: `day ${(day = begins)}`, sign, look: "log-day", parts: () => [sign] });
        last = "";
      }
      const card = cards.get(proposal);
      cards.delete(proposal);
      if (text || card) {
        const by = text?.by, mine = by ? (by.role === "buyer") === buyer : !buyer;
        const name = by && by.role !== "buyer" && by.id !== me.id && by.id !== last ? by.name : "";
        last = by?.id ?? "";
        if (text && last === me.id) said.set(text.text, at_ms);
        const body = () => (card ? cardElement(card, chat, ...this.actions(card)) : h("div.bubble", text?.text));
        rows.push({
          key,
          sign: card ? `${card.version} ${item?.agent_id}` : name,
          look: mine ? "log-row mine" : "log-row",
          parts: () => [name && h("p.log-meta", name), body(), h("p.log-meta", at(), mine && h("span.log-read"))],
          read: mine ? t(seq <= seen ? "log.read" : "log.unread") : "",
        });
      }
      if (notice || !(text || card || entry.card?.state === "applying"))
        rows.push({ key: `line ${key}`, sign: "", look: "log-line", parts: () => [h("span", { "data-code": (notice ?? system)?.code }, lineOf(entry), at())] });
    }
    for (const unsent of chat.outbox)
      if (unsent.conversation_id === id && (said.get(unsent.text) ?? 0) < unsent.at)
        rows.push({ key: unsent.id, sign: `${unsent.error?.code} ${chat.state}`, look: "log-row mine unsent", parts: () => [h("div.bubble", unsent.text), this.#unsent(unsent)] });
    return rows;
  }

  /** @param {HTMLElement} element @param {Row} row */
  #put(element, { sign, look, parts, read = "" }) {
    if (element.dataset.sign !== sign) {
      const focused = element.contains(document.activeElement);
      element.dataset.sign = sign;
      element.className = look;
      element.replaceChildren(...parts().filter(Boolean));
      if (focused) this.#scroller.focus({ preventScroll: true });
    }
    const mark = read && element.querySelector(".log-read");
    if (mark && mark.textContent !== read) mark.textContent = read;
  }

  /** @param {import("./types").Unsent} unsent */
  #unsent({ id, error }) {
    if (!error) return h("p.log-meta", t(chat.state === "connected" ? "log.sending" : "log.kept"));
    return h(
      "p.log-meta.bad",
      { role: "alert", title: error.detail },
      error.title,
      h("button.plain", () => chat.retry(id).catch(() => {}), t("log.retry")),
      h("button.plain", () => chat.discard(id), t("log.discard")),
    );
  }

  /** Speak of what came; of a notice speaks whoever shows it. @param {Entry} entry */
  #heard(entry) {
    const { text, card, notice, system } = entry, mine = text?.by.id === chat.me.id;
    if (mine) this.#atEnd = true;
    else if (text || card) this.#below++;
    if (!notice && !mine && (text || card || system)) announce(text ? `${text.by.name}: ${text.text}` : lineOf(entry));
    this.#showDown();
  }

  #showDown() {
    if (this.#atEnd) this.#below = 0;
    this.#down.hidden = this.#atEnd;
    this.#down.replaceChildren(icon("down"), t(this.#below ? "log.below" : "log.down", { count: this.#below }));
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    // Rows that come in sight may grow: only who scrolls up leaves the end.
    this.#atEnd = scrollHeight - clientHeight - scrollTop < NEAR_END || (this.#atEnd && scrollTop >= this.#top);
    this.#top = scrollTop;
    this.#showDown();
    this.#read();
    if (!this.#id || this.#atEnd || scrollTop > NEAR_TOP) return;
    const earlier = chat.log(this.#id)?.entries.filter(({ seq }) => seq < this.#from) ?? [];
    if (!earlier.length) return chat.older(this.#id).catch(() => {});
    this.#from = earlier.at(-PAGE)?.seq ?? 0;
    this.#later();
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#atEnd = true;
    this.#showDown();
  }

  /** The newest is in sight of somebody: so all is read. */
  #read() {
    const id = this.#id ?? "", item = chat.items.get(id), newest = chat.log(id)?.entries.at(-1)?.seq ?? 0;
    // Of several frames in a window one has the focus, but all are looked at.
    const looked = document.hasFocus() || (window.parent !== window && !document.hidden && this.checkVisibility());
    if (!item?.unread || newest <= this.#readTo || !this.#atEnd || !looked) return;
    if (chat.me.role !== "buyer" && item.agent_id !== chat.me.id) return;
    this.#readTo = newest;
    chat.command("read", { conversation_id: id, seq: newest }).catch(() => (this.#readTo = 0));
  }
}

/** What is no message, in one line. @param {Entry} entry */
function lineOf({ notice, system, card }) {
  const text = (notice ?? system)?.text ?? `${card?.title} · ${card?.label}`;
  const of = notice?.order_id && t("card.order", { order: notice.order_id });
  return [text, of, notice?.reason?.text ?? card?.comment].filter(Boolean).join(" · ");
}

customElements.define("assent-log", AssentLog);
