/** <assent-strip>: all my cards that wait for their buyers, by time left; a click opens the conversation. */

import { showLeft } from "./card.js";
import { beforeFrame, everySecond, h, keyed } from "./dom.js";
import { duration, t } from "./i18n.js";
import { openFrom } from "./list.js";
import { chat } from "./session.js";

export class AssentStrip extends HTMLElement {
  connectedCallback() {
    const title = h("span.muted"), list = h("ul");
    const show = () => {
      const mine = [...chat.items.values()].filter(({ agent_id: agent }) => agent && agent === chat.me?.id);
      const cards = mine.flatMap((item) => (item.cards ?? []).map((card) => ({ ...card, item }))).sort((a, b) => a.deadline_ms - b.deadline_ms);
      title.textContent = t(cards.length ? "strip.count" : "strip.none", { count: cards.length });
      keyed(
        list,
        cards,
        (card) => card.proposal_id,
        ({ item }) => h("li", h("button", () => openFrom(this, item.conversation_id))),
        ({ firstChild: button }, { item, order_id, state, deadline_ms }) => {
          const left = h("span"), ms = deadline_ms - chat.now();
          if (state === "applying") left.textContent = t("orders.applying");
          else showLeft(left, ms, ms > 0 ? duration(ms) : t("strip.over"));
          button.replaceChildren(h("b", item.buyer_name), ` ${order_id} `, left);
        },
      );
    };
    this.replaceChildren(title, list);
    chat.on("change", beforeFrame(show));
    everySecond(this, show);
  }
}

customElements.define("assent-strip", AssentStrip);
