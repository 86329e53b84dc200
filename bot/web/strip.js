/** <assent-strip>: all my cards that wait for their buyers, by time left; a click opens the conversation. */

import { showLeft } from "./card.js";
import { beforeFrame, define, everySecond, fill, h, keyed, tell } from "./dom.js";
import { duration, t } from "./i18n.js";
import { chat, mine, turnTo } from "./session.js";

define("assent-strip", (self) => {
  const title = h("span.muted"), list = h("ul");
  const show = () => {
    const cards = [...chat.items.values()].filter(mine).flatMap((item) => (item.cards ?? []).map((card) => ({ ...card, item })));
    cards.sort((a, b) => a.deadline_ms - b.deadline_ms);
    tell(title, t(cards.length ? "strip.count" : "strip.none", { count: cards.length }));
    keyed(
      list,
      cards,
      (card) => card.proposal_id,
      ({ item }) => h("li", h("button", () => turnTo(item.conversation_id))),
      ({ firstChild: button }, { item, order_id, state, deadline_ms }) => {
        const left = h("span"), ms = deadline_ms - chat.now();
        showLeft(left, ms, state === "applying" ? t("orders.applying") : ms > 0 ? duration(ms) : t("strip.over"));
        fill(button, h("b", item.buyer_name), ` ${order_id} `, left);
      },
    );
  };
  self.append(title, list);
  chat.on("change", beforeFrame(show));
  everySecond(self, show);
});
