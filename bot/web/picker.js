/** The picker (改规格): new specs for an order's lines. Law: what can be chosen, and why not, the server says. */

import { cardElement } from "./card.js";
import { announce, fill, h, openDialog, tell } from "./dom.js";
import { money, t } from "./i18n.js";
import { chat } from "./session.js";

/** @import { No, Options, Order, QuoteLine, Verdict } from "./types" */
/** @typedef {ReturnType<typeof section>} Section */

const said = (/** @type {No} */ { title, detail }) => `${title}　${detail ?? ""}`.trim();

/** One line, with a radio group for each of its options; `chosen` is what was chosen before it was read anew.
 * @param {QuoteLine} line @param {string} currency @param {Options | undefined} chosen @param {() => void} changed */
function section(line, currency, chosen, changed) {
  const { line_id, sku_id, title, quantity, spec, detail, code } = line;
  let { verdicts } = line, names = Object.keys(verdicts[0]?.options ?? {});
  // SKUs that their options don't tell apart are one list.
  if (new Set(verdicts.map(({ options }) => names.map((name) => options[name]).join())).size < verdicts.length) {
    names = [t("picker.spec")];
    verdicts = verdicts.map((one) => ({ ...one, options: { [names[0]]: one.sku_id } }));
  }
  const old = verdicts.find((one) => one.sku_id === sku_id)?.options ?? {};
  /** @type {No | null | undefined} why what was clicked can't be */ let refused;
  const summary = h("summary"), says = h("p", { role: "status" });
  const signed = (/** @type {number} */ cents) => (cents > 0 ? "+" : "−") + money(Math.abs(cents), currency);
  const rise = (/** @type {Verdict} */ one) => one.unit_price_after_cents - one.unit_price_before_cents;
  const can = (/** @type {Verdict} */ one) => one.allowed || one.sku_id === sku_id;

  /** The best that these options give, and why that can't be. */
  const look = (/** @type {Options} */ wish) => {
    const found = verdicts.filter(({ options }) => Object.keys(wish).every((name) => options[name] === wish[name]));
    const best = found.find(can) ?? found[0];
    return { best, no: !best ? { title: t("picker.none"), code: "none" } : can(best) ? null : best };
  };

  const chips = names.map((name) =>
    [...new Set(verdicts.map(({ options }) => options[name]))].map((value) => {
      const wish = () => ({ ...self.chosen, [name]: value });
      const radio = h("input", { type: "radio", name: `${line_id} ${name}`, onchange: () => {
        refused = look(wish()).no;
        if (refused) return self.show();
        self.chosen = wish();
        changed();
      } });
      const mark = h("small"), label = h("label", radio, h("bdi", value), mark);
      const show = () => {
        const { best, no } = look(wish());
        radio.checked = self.chosen[name] === value;
        radio.ariaDisabled = String(Boolean(no));
        label.title = no ? said(no) : "";
        tell(mark, no ? t(`picker.no.${no.code}`) : old[name] === value ? t("picker.now") : rise(best) ? signed(rise(best)) : "");
      };
      return { label, show };
    }),
  );
  const groups = chips.map((group, at) => h("div.picker-group.row", { role: "radiogroup", ariaLabel: names[at] }, h("bdi.muted", names[at]), group.map(({ label }) => label)));

  const price = (/** @type {Verdict} */ one) =>
    `${money(one.unit_price_before_cents, currency)} → ${money(one.unit_price_after_cents, currency)}　${rise(one) ? t("picker.each", { amount: signed(rise(one)) }) : t("picker.same")} · ${t("picker.stock", { stock: one.stock })}`;

  const self = {
    line_id,
    title,
    chosen: chosen ?? old,
    element: h("details.picker-line", summary, groups, says),
    /** @type {Verdict | null} the other spec that is chosen */ to: null,
    /** @type {No | null | undefined} why it can't be */ problem: null,
    change: () => (self.to ? [{ line_id, to_sku: self.to.sku_id, from_sku: sku_id }] : []),

    show() {
      const { best, no } = look(self.chosen), to = (self.to = best?.sku_id === sku_id ? null : best);
      self.problem ??= to && no;
      const why = refused || self.problem || (code && { title: detail });
      fill(summary, h("b", title), ` × ${quantity}　`, h("bdi", spec), to && [" → ", h("b", to.spec)]);
      for (const chip of chips.flat()) chip.show();
      tell(says, why ? said(why) : to ? price(to) : "");
      says.classList.toggle("bad", Boolean(why));
    },
  };
  return self;
}

/** Let the agent choose new specs for an order, and send the card. Until the dialog is closed.
 * @param {string} conversation_id @param {Order} order */
export async function pick(conversation_id, { id: order_id, status, label }) {
  /** @type {Section[]} */ let lines = [];
  let turn = 0, soon = 0, shut = false, sending = false;
  const ask = (/** @type {string} */ type, more = {}) => chat.command(type, { conversation_id, order_id, ...more });
  const changes = () => lines.flatMap((line) => line.change());

  const alert = h("p.note.bad", { role: "alert" }), list = h("div", t("picker.loading")), card = h("div", t("picker.empty"));
  const warning = h("div"), tick = h("input", { type: "checkbox", onchange: show });
  const waiver = h("div.picker-waiver.warn.tint", warning, h("label.row", tick, t("picker.waive")));
  const hint = h("p.muted", { id: "picker-hint", role: "status" });
  const send = h("button.primary", { "aria-describedby": hint.id, onclick: propose }, t("picker.send"));
  show();
  const dialog = openDialog(
    "picker",
    `${t("orders.change")} ${order_id}`,
    h("h2", { tabIndex: -1, autofocus: true }, t("orders.change"), ` ${order_id} `, h(`span.chip.${status}`, label)),
    h("div.picker-body", h("div", alert, list), h("aside", h("h3.muted", t("picker.preview")), card)),
    waiver,
    h("footer", hint, h("button", () => dialog.close(), t("picker.cancel")), send),
  );

  function show() {
    for (const line of lines) line.show();
    const waived = lines.flatMap(({ to, title }) => (to?.needs_waiver ? { to, title } : [])), count = changes().length;
    fill(warning, h("b", waived[0]?.to.title), waived.map(({ to, title }) => h("p", waived.length > 1 && [h("bdi", title), "　"], to.detail)));
    waiver.hidden = !waived.length;
    const refused = lines.some(({ problem }) => problem);
    const lacks = sending ? "sending" : shut ? "shut" : refused ? "refused" : !count ? "choose" : waived.length && !tick.checked ? "tick" : "";
    send.ariaDisabled = String(Boolean(lacks));
    tell(hint, t(`picker.${lacks || "ready"}`, { count }));
  }

  function changed() {
    tell(alert, "");
    for (const line of lines) line.problem = null;
    tick.checked = false; // it was for other amounts
    show();
    clearTimeout(soon);
    soon = setTimeout(preview, 150);
  }

  async function preview() {
    const mine = ++turn, asked = changes();
    try {
      const shown = asked.length ? (await ask("preview", { changes: asked, waive_difference: true })).card : null;
      if (mine !== turn) return;
      const buttons = shown?.buttons.map((/** @type {any} */ one) => h("button", { disabled: true }, one.label));
      fill(card, shown ? cardElement(shown, { now: () => shown.created_ms, me: chat.me }, ...buttons) : t("picker.empty"));
    } catch (error) {
      if (mine === turn) fail(error);
    }
  }

  async function propose() {
    if (send.ariaDisabled === "true") return waiver.hidden || tick.focus();
    sending = true;
    show();
    try {
      await ask("propose", { changes: changes(), waive_difference: tick.checked });
      announce(t("orders.sent", { order: order_id }));
      dialog.close();
    } catch (error) {
      fail(error);
    }
  }

  /** What the server says of it all, and of each line that it names; and how things are now. @param {any} error */
  async function fail({ problem }) {
    tell(alert, said(problem));
    sending = tick.checked = false;
    await read();
    for (const line of lines) line.problem ??= problem.lines?.find((/** @type {No & { line_id: string }} */ no) => no.line_id === line.line_id);
    show();
  }

  async function read() {
    try {
      const { quote, card } = await ask("quote"), no = card ? { title: t(`orders.${card.state}.why`) } : quote.code && quote;
      shut = Boolean(no);
      if (no && !alert.textContent) tell(alert, said(no));
      const at = inputs().indexOf(document.activeElement), first = !lines.length;
      lines = quote.lines.map((/** @type {QuoteLine} */ line) =>
        section(line, quote.currency, lines.find(({ line_id }) => line_id === line.line_id)?.chosen, changed));
      lines.forEach(({ element }, nth) => (element.open = !nth || lines.length < 3));
      fill(list, lines.map(({ element }) => element));
      show();
      (first ? inputs().find(({ checked }) => checked) : inputs()[at])?.focus();
    } catch (error) {
      alert.textContent ||= said(/** @type {any} */ (error).problem);
    }
  }

  const inputs = () => /** @type {any[]} */ ([...list.querySelectorAll("input")]);
  read();
  await new Promise((closed) => dialog.addEventListener("close", closed));
}
