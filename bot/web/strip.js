/** <assent-strip>: all my cards that wait for their buyers, by time left; a click opens the conversation. */

import { everySecond, h, keyed } from "./dom.js";
import { duration, t } from "./i18n.js";

export class AssentStrip extends HTMLElement {
  /** @type {import("./chat.js").ChatClient} */ chat = /** @type {any} */ (null);
  #title = h("span", { class: "muted" });
  #list = h("ul");
  #asked = false;

  connectedCallback() {
    this.replaceChildren(this.#title, this.#list);
    // A welcome tells of every conversation, one by one.
    this.chat.addEventListener("change", () => {
      if (!this.#asked) queueMicrotask(this.#show);
      this.#asked = true;
    });
    everySecond(this, this.#show);
  }

  #show = () => {
    this.#asked = false;
    const me = this.chat.me?.id;
    const mine = [...this.chat.items.values()].filter((item) => me && item.agent_id === me);
    const cards = mine.flatMap((item) => (item.cards ?? []).map((card) => ({ ...card, item }))).sort((a, b) => a.deadline_ms - b.deadline_ms);
    this.#title.textContent = t(cards.length ? "strip.count" : "strip.none", { count: cards.length });
    keyed(this.#list, cards, (card) => card.proposal_id, ({ item: { conversation_id: detail } }) => h("li", {}, h("button", { onclick: () => this.dispatchEvent(new CustomEvent("assent-open", { bubbles: true, detail })) })), ({ firstChild: button }, { item, order_id, state, deadline_ms }) => {
      const left = deadline_ms - this.chat.now();
      const time = state === "applying" ? t("orders.applying") : left > 0 ? duration(left) : t("strip.over");
      button.replaceChildren(h("b", {}, item.buyer_name), ` ${order_id} `, h("span", { class: state === "pending" && left < 15 * 60_000 && "soon" }, time));
    });
  };
}

customElements.define("assent-strip", AssentStrip);
