/** The picker (改规格): new specs for an order's lines. Law: what can be chosen, and why not, the server says. */

import { cardElement } from "./card.js";
import { h, keyed } from "./dom.js";
import { money, t } from "./i18n.js";
import { chat } from "./session.js";

/** @import { No, Options, QuoteLine, Verdict } from "./types" */

/** Its style comes with it. */
const styled = new Promise((done) => document.head.append(h("link", { rel: "stylesheet", href: "/web/picker.css", onload: done, onerror: done })));

const said = (/** @type {No} */ { title, detail }) => `${title}　${detail ?? ""}`.trim();

/** One line, with a radio group for each of its options. @param {string} currency @param {() => void} changed */
function section(currency, changed) {
  /** @type {QuoteLine} */ let line;
  /** @type {Verdict[]} */ let verdicts;
  /** @type {Options} */ let mine;
  /** @type {Options} */ let chosen;
  let names = [""], tried = [""]; // the name and value that were asked for, and can't be
  const summary = h("summary"), groups = h("div"), says = h("p", { role: "status" }), others = h("p.picker-others.row");
  const signed = (/** @type {number} */ cents) => (cents > 0 ? "+" : "−") + money(Math.abs(cents), currency);
  const can = (/** @type {Verdict} */ one) => one.allowed || one.sku_id === line.sku_id;
  const apart = (/** @type {Verdict} */ one) => names.filter((name) => one.options[name] !== chosen[name]).length;

  /** The best that a value gives with the other choices as they are, and why that can't be. */
  const look = (/** @type {string} */ name, /** @type {string} */ value) => {
    const wish = { ...chosen, [name]: value };
    const found = verdicts.filter(({ options }) => Object.keys(wish).every((each) => options[each] === wish[each]));
    const best = found.find(can) ?? found[0];
    return { best, no: best ? (can(best) ? null : best) : /** @type {No} */ ({ title: t("picker.none"), code: "none" }) };
  };

  const take = (/** @type {Options} */ wish) => {
    chosen = wish;
    tried = [];
    changed();
  };

  const chip = (/** @type {string} */ group, /** @type {string} */ name, /** @type {string} */ value) => {
    const onchange = () => {
      if (!look(name, value).no) return take({ ...chosen, [name]: value });
      tried = [name, value];
      self.show();
    };
    const radio = h("input", { type: "radio", name: group, onchange }), mark = h("small");
    const label = h("label", radio, value, mark);
    const show = () => {
      const { best, no } = look(name, value), rise = best ? best.unit_price_after_cents - best.unit_price_before_cents : 0;
      radio.checked = chosen[name] === value;
      radio.ariaDisabled = String(Boolean(no));
      label.title = no ? said(no) : "";
      mark.textContent = no ? t(`picker.no.${no.code}`) : mine[name] === value ? t("picker.now") : rise ? signed(rise) : "";
    };
    return Object.assign(label, { show });
  };

  const group = (/** @type {string} */ name) => {
    const id = crypto.randomUUID(), chips = [...new Set(verdicts.map((one) => one.options[name]))].map((value) => chip(id, name, value));
    return Object.assign(h("div.picker-group.row", { role: "radiogroup", ariaLabel: name }, h("span.muted", name), chips), { show: () => chips.forEach((one) => one.show()) });
  };

  const price = (/** @type {Verdict} */ { unit_price_before_cents: before, unit_price_after_cents: after, stock }) =>
    `${money(before, currency)} → ${money(after, currency)}　${after === before ? t("picker.same") : t("picker.each", { amount: signed(after - before) })} · ${t("picker.stock", { stock })}`;

  const self = {
    element: h("details.picker-line", summary, groups, says, others),
    /** @type {Verdict | undefined} the other spec that is chosen */ to: undefined,
    /** @type {No | null | undefined} why it can't be */ problem: null,
    title: () => line.title,
    change: () => (self.to ? [{ line_id: line.line_id, to_sku: self.to.sku_id, from_sku: line.sku_id }] : []),
    focus: () => /** @type {any} */ (groups.querySelector("input:checked"))?.focus(),

    /** The line as it is now. @param {QuoteLine} now */
    read(now) {
      line = now;
      verdicts = line.verdicts;
      names = Object.keys(verdicts[0]?.options ?? {});
      // SKUs that their options don't tell apart are one list.
      if (new Set(verdicts.map((one) => names.map((name) => one.options[name]).join())).size < verdicts.length) {
        names = [t("picker.spec")];
        verdicts = verdicts.map((one) => ({ ...one, options: { [names[0]]: one.sku_id } }));
      }
      mine = verdicts.find((one) => one.sku_id === line.sku_id)?.options ?? {};
      chosen ??= mine;
    },

    show() {
      const [name, value] = tried, to = verdicts.find((one) => !apart(one) && one.sku_id !== line.sku_id);
      self.to = to;
      if (to && !can(to)) self.problem ??= to;
      const no = name ? look(name, value).no : null, why = no || self.problem || (line.code ? { title: line.detail } : null);
      summary.replaceChildren(h("b", line.title), ` × ${line.quantity}　${line.spec}`, ...(to ? [" → ", h("b", to.spec)] : []));
      keyed(groups, names, String, group, (one) => one.show());
      const news = why ? said(why) : to ? price(to) : "";
      // A live region reads out whatever is put there, be it news or not.
      if (says.textContent !== news) says.textContent = news;
      says.classList.toggle("bad", Boolean(why));
      const near = no ? verdicts.filter((one) => can(one) && one.options[name] === value).sort((a, b) => apart(a) - apart(b)).slice(0, 4) : [];
      others.replaceChildren(...(near.length ? [t("picker.others"), ...near.map((one) => h("button", () => (take(one.options), self.focus()), one.spec))] : []));
    },
  };
  return self;
}

/** Let the agent choose new specs for an order, and send the card; whether one was sent.
 * @param {string} conversation_id @param {import("./types").Order} order */
export async function pick(conversation_id, order) {
  /** @type {Map<string, ReturnType<typeof section>>} */
  const lines = new Map();
  let turn = 0, soon = 0, shut = false, sending = false, sent = false;
  const ask = (/** @type {string} */ type, more = {}) => chat.command(type, { conversation_id, order_id: order.id, ...more });
  const all = () => [...lines.values()], changes = () => all().flatMap((line) => line.change());

  const head = h("h2", { id: "picker-title", tabIndex: -1, autofocus: true }, t("orders.change"), ` ${order.id} `, h("span.chip", { "data-status": order.status }, order.label));
  const alert = h("p.note.is-bad", { role: "alert" }), list = h("div", t("picker.loading")), card = h("div", t("picker.empty"));
  const warning = h("div"), tick = h("input", { type: "checkbox", onchange: () => show() });
  const waiver = h("div.picker-waiver.is-warn", warning, h("label.row", tick, t("picker.waive")));
  const hint = h("p.muted", { id: "picker-hint", role: "status" });
  const send = h("button.primary", { "aria-describedby": "picker-hint", onclick: () => propose() }, t("picker.send"));
  const dialog = h("dialog.picker.box", { "aria-labelledby": "picker-title" },
    head,
    h("div.picker-body", h("div", alert, list), h("aside", h("h3.muted", t("picker.preview")), card)),
    waiver,
    h("footer", hint, h("button", () => dialog.close(), t("picker.cancel")), send));

  const show = () => {
    all().forEach((line) => line.show());
    const waived = all().flatMap(({ to, title }) => (to?.needs_waiver ? { to, title } : []));
    warning.replaceChildren(h("b", waived[0]?.to.title), ...waived.map(({ to, title }) => h("p", waived.length > 1 && `${title()}　`, to.detail)));
    waiver.hidden = !waived.length;
    const count = changes().length, refused = all().some((line) => line.problem);
    const lacks = sending ? "sending" : shut ? "shut" : refused ? "refused" : !count ? "choose" : waived.length && !tick.checked ? "tick" : "";
    send.ariaDisabled = String(Boolean(lacks));
    hint.textContent = t(`picker.${lacks || "ready"}`, { count });
  };

  /** What the server says of it all, and of each line that it names. */
  const fail = (/** @type {any} */ { problem }, again = true) => {
    alert.textContent = said(problem);
    tick.checked = false;
    for (const no of problem.lines ?? []) Object.assign(lines.get(no.line_id) ?? {}, { problem: no });
    show();
    if (again) read();
  };

  const preview = async () => {
    const mine = ++turn, asked = changes();
    try {
      const shown = asked.length ? (await ask("preview", { changes: asked, waive_difference: true })).card : null;
      if (mine !== turn) return;
      const buttons = shown?.buttons.map((/** @type {any} */ one) => h("button", { disabled: true }, one.label));
      card.replaceChildren(shown ? cardElement(shown, { now: () => shown.created_ms, me: chat.me }, ...buttons) : t("picker.empty"));
    } catch (error) {
      if (mine === turn) fail(error);
    }
  };

  const changed = () => {
    alert.textContent = "";
    all().forEach((line) => (line.problem = null));
    tick.checked = false; // it was for other amounts
    show();
    clearTimeout(soon);
    soon = setTimeout(preview, 150);
  };

  const read = () => ask("quote").then(({ quote, card }) => {
    const no = card ? { title: t(`orders.${card.state}.why`) } : quote.code ? quote : null;
    shut = Boolean(no);
    if (no && !alert.textContent) alert.textContent = said(no);
    for (const line of /** @type {QuoteLine[]} */ (quote.lines)) {
      const known = lines.get(line.line_id) ?? section(quote.currency, changed);
      known.read(line);
      lines.set(line.line_id, known);
    }
    show();
    if (list.childElementCount) return;
    const made = all();
    made.forEach(({ element }, at) => (element.open = !at || made.length < 3));
    list.replaceChildren(...made.map(({ element }) => element));
    made[0]?.focus();
  }, (error) => fail(error, false));

  const propose = async () => {
    if (send.ariaDisabled === "true") return waiver.hidden || tick.focus();
    sending = true;
    show();
    try {
      await ask("propose", { changes: changes(), waive_difference: tick.checked });
      sent = true;
      dialog.close();
    } catch (error) {
      sending = false;
      fail(error);
    }
  };

  await styled;
  document.body.append(dialog);
  show();
  dialog.showModal();
  read();
  await new Promise((resolve) => dialog.addEventListener("close", resolve));
  dialog.remove();
  return sent;
}
