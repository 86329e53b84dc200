/**
 * <assent-log>: the messages of the conversation that is turned to, for either side.
 *
 * Law: a card stands once, where it was sent, as it is now; what became of it is a line, where it happened. Who reads
 * at the end stays at the end, who reads above stays where they are; however long it is, few rows of it are in the page.
 */

import { cardElement } from "./card.js";
import { announce, beforeFrame, define, fill, h, icon, keyed, tell } from "./dom.js";
import { date, dotted, t, time } from "./i18n.js";
import { chat, current, follow, item } from "./session.js";

/** @typedef {{ key: string, sign?: string, look: string, parts: () => any[], read?: string }} Row  `sign`: what `parts` depend on */

/** In pixels: this near to an end of the rows there is more to come. */
const NEAR = 600, AT_END = 48;
/** In entries: so many are shown, and so many more or fewer at a time. */
const MOST = 200, STEP = 80;

define("assent-log", (self) => {
  const rows = h("ol.log-rows"), note = h("p.log-note");
  const scroller = h("div.log-scroll", { tabIndex: 0, role: "group", ariaLabel: t("log.label"), onscroll: scrolled }, rows, note);
  const down = h("button.log-down", () => (scroller.focus(), toEnd()));
  let atEnd = true, top = 0, below = 0, readTo = 0;
  /** The seq of the newest entry shown, wherever that will be. */
  let last = Infinity;

  /** Those that show; what is for the other side only is but a seq here. */
  const entries = () => chat.log(current)?.entries.filter(({ text, card, notice, system }) => text || card || notice || system) ?? [];
  /** How many entries there are down to the newest shown. */
  const depth = () => entries().findLastIndex(({ seq }) => seq <= last) + 1;
  const later = beforeFrame(show);

  function show() {
    if (!current) return;
    const all = entries();
    tell(note, chat.typing.get(current) ? t("log.typing") : all.length ? "" : t(chat.log(current)?.loading ? "log.loading" : "log.empty"));
    if (item()) chat.load(current).catch((error) => tell(note, error.message));
    if (atEnd) last = Infinity;
    const end = depth(), above = scroller.getBoundingClientRect().top;
    // Not a date: it goes up when earlier messages of its day come.
    const first = atEnd ? null : [...rows.children].find((row) => row.className !== "log-day" && row.getBoundingClientRect().bottom > above);
    const before = first?.getBoundingClientRect().top ?? 0;
    keyed(rows, list(all.slice(Math.max(0, end - MOST), end), end === all.length), ({ key }) => key, () => h("li"), put);
    if (first) scroller.scrollTop += first.getBoundingClientRect().top - before;
    else toEnd();
    read();
  }

  /** @param {Entry[]} shown @param {boolean} all  whether these are the newest */
  function list(shown, all) {
    const { me } = chat, buyer = me.role === "buyer", seen = item()?.read?.[buyer ? "agent" : "buyer"] ?? 0;
    /** As each is now. */
    const cards = new Map(entries().map(({ card }) => [card?.proposal_id, card]));
    /** @type {Row[]} */ const rows = [];
    /** When I said what: it may be heard before it is acknowledged. @type {Map<string, number>} */ const said = new Map();
    let day = 0, speaker = "";
    for (const entry of shown) {
      const { seq, at_ms, text, notice, system } = entry, proposal = entry.card, at = () => h("time", time(at_ms));
      const begins = new Date(at_ms).setHours(0, 0, 0, 0), sign = date(at_ms, chat.now());
      if (begins !== day) {
        rows.push({ key: `day ${(day = begins)}`, sign, look: "log-day", parts: () => [sign] });
        speaker = "";
      }
      const card = proposal?.version === 1 && cards.get(proposal.proposal_id);
      if (text || card) {
        const by = text?.by, mine = by ? (by.role === "buyer") === buyer : !buyer;
        const name = by && by.role !== "buyer" && by.id !== me.id && by.id !== speaker ? by.name : "";
        speaker = by?.id ?? "";
        if (text && speaker === me.id) said.set(text.text, at_ms);
        const body = () => (card ? cardElement(card, chat, ...self.actions(card)) : h("div.bubble", text?.text));
        rows.push({
          key: `${seq}`,
          sign: card ? `${card.version} ${item()?.agent_id}` : name,
          look: mine ? "log-row mine" : "log-row",
          parts: () => [name && h("p.log-meta", name), body(), h("p.log-meta", at(), mine && h("span.log-read"))],
          read: mine ? t(seq <= seen ? "log.read" : "log.unread") : "",
        });
      }
      if (notice || !(text || card || proposal?.state === "applying"))
        rows.push({ key: `line ${seq}`, look: "log-line", parts: () => [h(`span.${(notice ?? system)?.code}`, lineOf(entry)), at()] });
    }
    for (const { id, conversation_id, text, at, error } of all ? chat.outbox : [])
      if (conversation_id === current && (said.get(text) ?? 0) < at)
        rows.push({ key: id, sign: `${error?.code} ${chat.state}`, look: "log-row mine unsent", parts: () => [h("div.bubble", text), unsent(id, error)] });
    return rows;
  }

  /** @param {HTMLElement} element @param {Row} row */
  function put(element, { sign = "", look, parts, read }) {
    if (element.dataset.sign !== sign) {
      const focused = element.contains(document.activeElement);
      element.dataset.sign = sign;
      element.className = look;
      fill(element, parts());
      if (focused) scroller.focus({ preventScroll: true });
    }
    if (read) tell(/** @type {HTMLElement} */ (element.querySelector(".log-read")), read);
  }

  /** Speak of what came; of a notice speaks whoever shows it. @param {Entry} entry */
  function heard(entry) {
    const { text, card, notice, system } = entry, mine = text?.by.id === chat.me.id;
    if (mine) atEnd = true;
    else if (text || card) below++;
    if (!notice && !mine && (text || card || system)) announce(text ? dotted(text.by.name, text.text) : lineOf(entry));
    showDown();
  }

  function showDown() {
    if (atEnd) below = 0;
    down.hidden = atEnd;
    fill(down, icon("down"), t(below ? "log.below" : "log.down", { count: below }));
  }

  function scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = scroller, all = entries(), end = depth();
    const left = scrollHeight - clientHeight - scrollTop;
    // Rows that come in sight may grow: only who scrolls up leaves the end.
    atEnd = end === all.length && (left < AT_END || (atEnd && scrollTop >= top));
    top = scrollTop;
    showDown();
    read();
    if (atEnd) return;
    let to = end;
    if (scrollTop < NEAR && end > MOST) to = Math.max(MOST, end - STEP);
    else if (scrollTop < NEAR) chat.older(current).then((more) => more && scrolled(), () => {});
    else if (left < NEAR) to = Math.min(all.length, end + STEP);
    last = all[to - 1]?.seq ?? Infinity;
    if (to !== end) later();
  }

  function toEnd() {
    const far = last !== Infinity;
    last = Infinity;
    atEnd = true;
    if (far) show();
    scroller.scrollTop = scroller.scrollHeight;
    showDown();
  }

  /** The newest is in sight of somebody: so all is read. */
  function read() {
    const { unread, agent_id } = item() ?? {}, newest = entries().at(-1)?.seq ?? 0;
    // Of several frames in a window one has the focus, but all are looked at.
    const looked = document.hasFocus() || (window.parent !== window && !document.hidden && self.checkVisibility());
    if (!unread || newest <= readTo || !atEnd || !looked) return;
    if (chat.me.role !== "buyer" && agent_id !== chat.me.id) return;
    readTo = newest;
    chat.command("read", { conversation_id: current, seq: newest }).catch(() => (readTo = 0));
  }

  const sent = (/** @type {string} */ proposal) => entries().findIndex(({ card }) => card?.version === 1 && card.proposal_id === proposal);
  self.cardOf = (proposal) => rows.querySelector(`[data-key="${entries()[sent(proposal)]?.seq}"] .card`);
  self.goTo = async (proposal) => {
    while (sent(proposal) < 0 && (await chat.older(current)));
    const all = entries(), at = sent(proposal);
    if (at < 0) return;
    atEnd = false;
    last = all[Math.min(at + STEP, all.length - 1)].seq;
    show();
    const card = /** @type {HTMLElement} */ (self.cardOf(proposal));
    card.tabIndex = -1;
    card.scrollIntoView({ block: "center" });
    card.focus({ preventScroll: true });
  };

  self.append(scroller, down);
  follow("change", later);
  follow("entry", ({ entry }) => heard(entry));
  chat.on("turn", () => {
    fill(rows);
    atEnd = true;
    readTo = 0;
    later();
  });
  chat.on("outbox typing state", later);
  for (const type of ["focus", "visibilitychange"]) addEventListener(type, read);
  const observer = new ResizeObserver(() => atEnd && toEnd());
  for (const element of [rows, scroller]) observer.observe(element);
});

/** What stands below a message that was not taken yet. @param {string} id @param {Frame} [error] */
function unsent(id, error) {
  if (!error) return h("p.log-meta", t(chat.state === "connected" ? "log.sending" : "log.kept"));
  return h(
    "p.log-meta.bad",
    { role: "alert", title: error.detail },
    error.title,
    h("button.plain", () => chat.retry(id).catch(() => {}), t("log.retry")),
    h("button.plain", () => chat.discard(id), t("log.discard")),
  );
}

/** What is no message, in one line. @param {Entry} entry */
function lineOf({ notice, system, card }) {
  const what = notice ?? system;
  return dotted(what ? what.text : card?.title, !what && card?.label, notice?.order_id && t("card.order", { order: notice.order_id }), notice?.reason?.text ?? card?.comment);
}
