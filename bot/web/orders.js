/** <assent-orders>: the orders (个人订单) of a conversation's buyer. Law: their buttons are the only way to 改规格 (R1). */

import { announce, everySecond, h, keyed } from "./dom.js";
import { duration, money, t } from "./i18n.js";
import { pick } from "./picker.js";

/** @import { Order } from "./types" @import { ChatClient } from "./chat.js" */

export class AssentOrders extends HTMLElement {
  /** @type {ChatClient} */ #chat = /** @type {any} */ (null);
  /** @type {string | null} */ #conversation = null;
  /** @type {Order[] | null} */ #orders = null;
  #currency = "";
  #problem = "";
  #turn = 0;
  #soon = 0;
  #refresh = h("button", { class: "plain", onclick: () => this.#read() }, t("orders.refresh"));
  #note = h("p", { class: "orders-note", id: "orders-note", role: "status" });
  #list = h("ul");

  connectedCallback() {
    this.replaceChildren(h("header", {}, h("h2", {}, t("orders.title")), this.#refresh), this.#note, this.#list);
    this.#show();
  }

  set chat(/** @type {ChatClient} */ chat) {
    this.#chat = chat;
    for (const type of ["welcome", "change", "entry"]) chat.addEventListener(type, this.#heard);
  }

  set conversation(/** @type {string | null} */ id) {
    if (id === this.#conversation) return;
    this.#conversation = id;
    this.#orders = null;
    this.#read();
  }

  #heard = (/** @type {any} */ { type, detail }) => {
    if (type !== "welcome" && detail.id !== this.#conversation) return;
    if (type === "change") return this.#show();
    if (type === "entry" && !detail.entry.card) return;
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#read(), 50);
  };

  async #read() {
    const turn = ++this.#turn;
    this.ariaBusy = "true";
    this.#problem = "";
    this.#show();
    if (!this.#conversation || this.#chat.state !== "connected") return;
    try {
      const ok = await this.#chat.command("orders", { conversation_id: this.#conversation });
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
    const { agent_id: id, agent_name: agent } = this.#chat.items.get(this.#conversation ?? "") ?? {};
    return id === this.#chat.me?.id ? "" : t(id ? "orders.not_mine" : "orders.unassigned", { agent });
  }

  #show() {
    const orders = this.#orders;
    this.#note.textContent = !this.#conversation ? t("orders.choose") : this.#problem || (orders?.length ? this.#notMine : t(orders ? "orders.none" : "orders.loading"));
    keyed(this.#list, orders ?? [], (order) => order.id, (order) => this.#row(order), (row, order) => row.update(order));
  }

  /** An order; its buttons are never made anew, and so keep their focus. @param {Order} order */
  #row(order) {
    const { id } = order;
    const info = h("div"), left = h("span"), why = h("p", { id: `why-${id}` });
    const change = h("button", {
      "aria-describedby": `why-${id} orders-note`,
      onclick: async () => {
        if (change.ariaDisabled === "true") return announce(change.title);
        const sent = await pick(this.#chat, this.#conversation ?? "", order);
        change.focus();
        sent ? announce(t("orders.sent", { order: id })) : this.#read();
      },
    });
    const withdraw = h("button", {
      "aria-describedby": `why-${id}`,
      onclick: async () => {
        change.focus();
        try {
          await this.#chat.command("withdraw", { conversation_id: this.#conversation, proposal_id: order.card?.proposal_id });
          announce(t("orders.withdrawn", { order: id }));
        } catch (error) {
          announce(/** @type {Error} */ (error).message, "assertive");
        }
      },
    }, t("orders.withdraw"));
    const tick = () => {
      const ms = (order.card?.deadline_ms ?? 0) - this.#chat.now();
      left.textContent = order.card?.state !== "pending" ? "" : ms > 0 ? t("card.left", { left: duration(ms) }) : t("card.over");
      left.classList.toggle("soon", ms < 15 * 60_000);
    };
    const cells = (/** @type {string} */ what, /** @type {number} */ cents, /** @type {any[]} */ ...more) =>
      h("p", { class: "order-line" }, h("span", {}, what), h("span", { class: "amount" }, money(cents, this.#currency)), ...more.map((text) => h("span", { class: "muted" }, text)));
    const update = (/** @type {Order} */ now) => {
      const { card, refusal, status, label, tags, lines, total_cents } = (order = now), notMine = this.#notMine;
      info.replaceChildren(
        h("p", { class: "order-head" }, h("b", {}, id), h("span", { class: "chip", "data-status": status }, label), tags.map((tag) => h("span", { class: "chip bad" }, tag.label))),
        ...lines.map((line) => cells(line.title, line.unit_price_cents, line.spec, `× ${line.quantity}`)),
        cells(t("orders.total"), total_cents),
      );
      change.textContent = t(`orders.${card?.state ?? "change"}`);
      change.title = card ? t(`orders.${card.state}.why`) : refusal ? `${refusal.title} ${refusal.detail}` : notMine;
      change.ariaDisabled = String(Boolean(change.title));
      why.replaceChildren(left, card ? "" : (refusal?.title ?? ""), h("span", { class: "sr-only" }, card ? change.title : refusal?.detail));
      withdraw.hidden = card?.state !== "pending" || notMine !== "";
      tick();
    };
    const row = h("li", { class: "order" }, info, h("div", { class: "order-foot" }, why, withdraw, change));
    everySecond(row, tick);
    return Object.assign(row, { update });
  }
}

customElements.define("assent-orders", AssentOrders);
