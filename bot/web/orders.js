/** <assent-orders>: the orders (个人订单) of a conversation's buyer. Law: their buttons are the only way to 改规格 (R1). */

import { showLeft } from "./card.js";
import { announce, everySecond, h, keyed, spoken } from "./dom.js";
import { money, t } from "./i18n.js";
import { attempt } from "./notices.js";
import { chat } from "./session.js";

/** @import { Order } from "./types" */

export class AssentOrders extends HTMLElement {
  #id = "";
  /** @type {Order[] | null} */ #orders = null;
  #currency = "";
  #problem = "";
  #turn = 0;
  #note = h("p.note.is-info", { id: "orders-note", role: "status" });
  #list = h("ul");

  connectedCallback() {
    const read = () => this.#read();
    let soon = 0;
    const readSoon = () => {
      clearTimeout(soon);
      soon = setTimeout(read, 50);
    };
    this.replaceChildren(h("header", h("h2", t("orders.title")), h("button.plain", read, t("orders.refresh"))), this.#note, this.#list);
    chat.on("welcome", readSoon);
    chat.on("entry", ({ id, entry }) => id === this.#id && entry.card && readSoon());
    chat.on("change", ({ id }) => id === this.#id && this.#show());
    // An order that moves without a card tells nobody.
    document.addEventListener("visibilitychange", () => document.hidden || read());
    this.#show();
  }

  set conversation(/** @type {string} */ id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#orders = null;
    this.#read();
  }

  async #read() {
    const turn = ++this.#turn;
    this.ariaBusy = "true";
    this.#problem = "";
    this.#show();
    if (!this.#id || chat.state !== "connected") return;
    try {
      const ok = await chat.command("orders", { conversation_id: this.#id });
      if (turn !== this.#turn) return;
      [this.#orders, this.#currency] = [ok.orders, ok.currency];
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#problem = t("orders.failed", { title: /** @type {Error} */ (error).message });
    }
    this.ariaBusy = "false";
    this.#show();
  }

  /** Why this agent can ask for no change here, or "". */
  get #notMine() {
    const { agent_id: id, agent_name: agent } = chat.items.get(this.#id) ?? {};
    return id === chat.me?.id ? "" : t(id ? "orders.not_mine" : "orders.unassigned", { agent });
  }

  #show() {
    const orders = this.#orders;
    this.#note.textContent = !this.#id ? t("orders.choose") : this.#problem || (orders?.length ? this.#notMine : t(orders ? "orders.none" : "orders.loading"));
    keyed(this.#list, orders ?? [], (order) => order.id, (order) => this.#row(order), (row, order) => row.update(order));
  }

  /** An order; its buttons are never made anew, and so keep their focus. @param {Order} order */
  #row(order) {
    const { id } = order, conversation_id = this.#id;
    const info = h("div"), left = h("span"), why = h("p", { id: `why-${id}` });
    const pick = async () => {
      if (change.ariaDisabled === "true") return announce(change.title);
      this.#read();
      const sent = await (await attempt(import("./picker.js")))?.pick(conversation_id, order);
      change.focus();
      if (sent) announce(t("orders.sent", { order: id }));
      else this.#read();
    };
    const take = async () => {
      change.focus();
      if (await attempt(chat.command("withdraw", { conversation_id, proposal_id: order.card?.proposal_id }))) announce(t("orders.withdrawn", { order: id }));
    };
    const change = h("button", { "aria-describedby": `${why.id} orders-note`, onclick: pick });
    const withdraw = h("button", { "aria-describedby": why.id, onclick: take }, t("orders.withdraw"));
    const tick = () => {
      if (order.card?.state === "pending") showLeft(left, order.card.deadline_ms - chat.now());
      else left.textContent = "";
    };
    const line = (/** @type {string} */ what, /** @type {number} */ cents, /** @type {string[]} */ ...more) =>
      h("p.order-line", h("span", what), h("span.amount", money(cents, this.#currency)), more.map((text) => h("span.muted", text)));
    const update = (/** @type {Order} */ now) => {
      const { card, refusal, status, label, tags, lines, total_cents } = (order = now), notMine = this.#notMine;
      info.replaceChildren(
        h("p.order-head.row", h("b", id), h("span.chip", { "data-status": status }, label), tags.map((tag) => h("span.chip.bad", tag.label))),
        ...lines.map((one) => line(one.title, one.unit_price_cents, one.spec, `× ${one.quantity}`)),
        line(t("orders.total"), total_cents),
      );
      change.textContent = t(`orders.${card?.state ?? "change"}`);
      change.title = card ? t(`orders.${card.state}.why`) : refusal ? `${refusal.title} ${refusal.detail}` : notMine;
      change.ariaDisabled = String(Boolean(change.title));
      why.replaceChildren(left, card ? "" : (refusal?.title ?? ""), spoken(card ? change.title : refusal?.detail));
      withdraw.hidden = card?.state !== "pending" || notMine !== "";
      tick();
    };
    const row = h("li.order.box", info, h("div.order-foot.row", why, withdraw, change));
    everySecond(row, tick);
    return Object.assign(row, { update });
  }
}

customElements.define("assent-orders", AssentOrders);
