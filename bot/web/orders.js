/** <assent-orders>: the orders (个人订单) of the buyer turned to. Law: their buttons are the only way to 改规格 (R1). */

import { showLeft } from "./card.js";
import { announce, define, everySecond, fill, h, keyed, spoken, tell } from "./dom.js";
import { money, t } from "./i18n.js";
import { pick } from "./picker.js";
import { chat, current, follow, item, mine } from "./session.js";
import { attempt } from "./toast.js";

/** @import { Order } from "./types" */

define("assent-orders", (self) => {
  /** @type {Order[] | null} */ let orders = null;
  let currency = "", problem = "", turn = 0, soon = 0;
  const note = h("p.note.info", { id: "orders-note", role: "status" }), list = h("ul");

  async function read() {
    const asked = ++turn;
    problem = "";
    show();
    if (!current || chat.state !== "connected") return;
    self.ariaBusy = "true";
    try {
      const ok = await chat.command("orders", { conversation_id: current });
      if (asked !== turn) return;
      ({ orders, currency } = ok);
    } catch (error) {
      if (asked !== turn) return;
      problem = t("orders.failed", { title: /** @type {Error} */ (error).message });
    }
    self.ariaBusy = "false";
    show();
  }

  /** Why this agent can ask for no change here, or "". */
  function notMine() {
    const agent = item()?.agent_name;
    return mine() ? "" : t(agent ? "orders.not_mine" : "orders.unassigned", { agent });
  }

  function show() {
    tell(note, !current ? t("orders.choose") : problem || (orders?.length ? notMine() : t(orders ? "orders.none" : "orders.loading")));
    keyed(list, orders ?? [], (order) => order.id, row, (element, order) => element.update(order));
  }

  /** An order; its buttons are never made anew, and so keep their focus. @param {Order} order */
  function row(order) {
    const { id } = order, conversation_id = current;
    const info = h("div"), left = h("span"), why = h("p", { id: `why-${id}` });
    const change = h("button", { "aria-describedby": `${why.id} orders-note`, onclick: async () => {
      if (change.ariaDisabled === "true") return announce(change.title);
      await pick(conversation_id, order);
      read();
    } });
    const withdraw = h("button", { "aria-describedby": why.id, onclick: async () => {
      change.focus();
      if (await attempt(chat.command("withdraw", { conversation_id, proposal_id: order.card?.proposal_id }))) announce(t("orders.withdrawn", { order: id }));
    } }, t("orders.withdraw"));
    const tick = () => {
      if (order.card?.state === "pending") showLeft(left, order.card.deadline_ms - chat.now());
      else tell(left, "");
    };
    const line = (/** @type {string} */ what, /** @type {number} */ cents, /** @type {string[]} */ ...more) =>
      h("p.order-line", h("span", what), h("span", money(cents, currency)), more.map((text) => h("span.muted", text)));
    const update = (/** @type {Order} */ now) => {
      const { card, refusal, status, label, tags, lines, total_cents } = (order = now), no = notMine();
      fill(
        info,
        h("p.row", h("b", id), h(`span.chip.${status}`, label), tags.map((tag) => h("span.chip.bad", tag.label))),
        lines.map((one) => line(one.title, one.unit_price_cents, one.spec, `× ${one.quantity}`)),
        line(t("orders.total"), total_cents),
      );
      tell(change, t(`orders.${card?.state ?? "change"}`));
      change.title = card ? t(`orders.${card.state}.why`) : refusal ? `${refusal.title} ${refusal.detail}` : no;
      change.ariaDisabled = String(Boolean(change.title));
      fill(why, left, !card && refusal?.title, spoken(card ? change.title : refusal?.detail));
      withdraw.hidden = card?.state !== "pending" || no !== "";
      tick();
    };
    const choose = () => {
      self.chosen = id;
      for (const one of list.children) one.ariaCurrent = String(one === element);
    };
    const element = h("li.order.box", { onclick: choose, onfocusin: choose }, info, h("div.order-foot.row", why, withdraw, change));
    everySecond(element, tick);
    return Object.assign(element, { update });
  }

  self.chosen = "";
  self.append(h("header", h("h2", t("orders.title")), h("button.plain", read, t("orders.refresh"))), note, list);
  chat.on("turn", () => {
    orders = null;
    self.chosen = "";
    read();
  });
  const readSoon = () => {
    clearTimeout(soon);
    soon = setTimeout(read, 50);
  };
  chat.on("welcome", readSoon);
  follow("entry", ({ entry }) => entry.card && readSoon());
  follow("change", show);
  // An order that moves without a card tells nobody.
  document.addEventListener("visibilitychange", () => document.hidden || read());
  show();
});
