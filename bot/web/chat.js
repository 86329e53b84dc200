/**
 * Assent's chat protocol for a web page: connects, resumes, repeats, and keeps what it was told.
 *
 *   const chat = new ChatClient({ url: "wss://shop.example/ws", token: () => freshToken() });
 *   chat.on("change", ({ id }) => show(chat.items.get(id), chat.log(id)));
 *   chat.connect();
 *   await chat.say("shop.buyer", "你好");
 *
 * Law: a log has no gap and no double, whatever the connection did; a command sent before a cut is sent again with its
 * id, and so has one effect. An item is what the list says of a conversation; later entries keep it true.
 *
 * Events: `state` (connected or not), `welcome`, `change` {id} (an item or its log), `entry` {id, entry} (live ones only),
 * `presence`, `typing` {id}, `outbox`, `quick_replies`.
 *
 * @import { Log, Unsent } from "./types"
 */

/** Close codes after which the same token would end the same way. */
const FINAL = new Set([4400, 4401, 4426]);
const FIRST_PAUSE = 1000, LONGEST_PAUSE = 15_000, ANSWER_WITHIN = 10_000, TYPING_LASTS = 6000;

/** A command's `error`: `code`, `detail` and all other members in `problem`, `card` as it is now. */
export class CommandError extends Error {
  /** @param {Frame} problem */
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
    this.code = /** @type {string} */ (problem.code);
    this.detail = problem.detail;
    this.card = problem.card;
  }
}

export class ChatClient extends EventTarget {
  /** @type {"connecting" | "connected" | "offline" | "refused"} */
  state = "connecting";
  /** @type {Frame | null} why it was refused */
  problem = null;
  /** @type {Frame | null} */
  welcome = null;
  /** @type {Map<string, Item>} every conversation known, those that wait at the desk included */
  items = new Map();
  /** @type {Map<string, boolean>} where the other side is writing */
  typing = new Map();
  /** When the next attempt to connect begins (ms of this machine's clock). */
  retryAt = 0;
  /** @type {Map<string, Log>} */ #logs = new Map();
  /** @type {Map<string, number>} */ #cursors = new Map();
  /** Commands without a reply, and the connection that each is on its way over.
   * @type {Map<string, { frame: Frame, over: WebSocket | null, resolve: (ok: Frame) => void, reject: (error: Error) => void }>} */
  #pending = new Map();
  /** @type {WebSocket | null} */ #ws = null;
  #attempt = 0;
  #ahead = 0;
  #retry = 0;
  #beat = 0;
  #heard = 0;
  /** @type {number | null} */ #goingAway = null;
  /** @type {Map<string, number>} */ #writing = new Map();

  /**
   * @param {{ url?: string, token: () => string | Promise<string>, locale?: string, store?: Storage, name?: string }} options
   *   `url` is by default this page's own host. `store` keeps messages that could not be sent yet over a reload, under `name`.
   */
  constructor({ url = `${location.origin.replace(/^http/, "ws")}/ws`, token, locale = "zh-CN", store, name = "assent" }) {
    super();
    this.url = url;
    this.token = token;
    this.locale = locale;
    this.store = store;
    this.name = name;
    /** What is still to be said; with `error`, what the server did not take: see `retry`, `discard`.
     * @type {Unsent[]} */
    this.outbox = JSON.parse(store?.getItem(`${name}:outbox`) ?? "[]");
    for (const unsent of this.outbox) if (!unsent.error) this.#deliver(unsent).catch(() => {});
    addEventListener("online", () => this.reconnect());
    addEventListener("offline", () => this.#lost(0));
  }

  /** Hear of events: the listener gets their `detail`. @param {string} types @param {(detail: any) => void} listener */
  on(types, listener) {
    for (const type of types.split(" ")) this.addEventListener(type, ({ detail }) => listener(detail));
  }

  /** The server's clock, Unix ms. */
  now() {
    return Date.now() + this.#ahead;
  }

  get me() {
    return this.welcome?.participant;
  }

  /** Begin, and go on for good. */
  connect() {
    this.#set();
    const ws = (this.#ws = new WebSocket(this.url));
    ws.onopen = async () => {
      /** @type {[Record<string, number | undefined>, Record<string, number>]} */
      const [cursors, at_ms] = [{}, {}];
      for (const [id, { entries }] of this.#logs) {
        const last = entries.at(-1);
        cursors[id] = this.#cursors.get(id);
        if (last && last.seq === cursors[id]) at_ms[id] = last.at_ms;
      }
      const hello = { type: "hello", token: await this.token(), protocol: 1, cursors, at_ms, locale: this.locale };
      if (ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(hello));
    };
    ws.onmessage = (event) => ws === this.#ws && this.#take(JSON.parse(event.data));
    ws.onclose = (event) => ws === this.#ws && this.#lost(event.code);
  }

  /** Try now rather than after the pause. */
  reconnect() {
    if (this.state === "connected") return;
    this.#drop();
    this.connect();
  }

  close() {
    this.#drop();
  }

  #drop() {
    const ws = this.#ws;
    this.#ws = null;
    ws?.close();
    clearInterval(this.#beat);
    clearTimeout(this.#retry);
  }

  /** @param {number} code */
  #lost(code) {
    this.#drop();
    if (FINAL.has(code)) return this.#set("refused");
    // All who were on a gateway that died come at once: spread as far as the pause goes.
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#attempt++) * Math.random();
    const wait = this.#goingAway ?? pause;
    this.#goingAway = null;
    this.retryAt = Date.now() + wait;
    this.#retry = setTimeout(() => this.connect(), wait);
    this.#set();
  }

  /** @param {ChatClient["state"]} state */
  #set(state = navigator.onLine ? "connecting" : "offline") {
    this.state = state;
    this.#tell("state");
  }

  /** @param {string} type @param {object} [detail] */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {string} id */
  #changed(id) {
    this.#tell("change", { id });
  }

  /** @param {Frame} frame */
  #take(frame) {
    this.#heard = Date.now();
    if (frame.now_ms) {
      const ahead = frame.now_ms - Date.now();
      // A reading is only ever late, so of those of one connection the most advanced is the truest.
      this.#ahead = frame.type === "welcome" ? ahead : Math.max(this.#ahead, ahead);
    }
    this.#takes[frame.type]?.(frame, frame.conversation_id);
  }

  /** What each frame means. @type {Record<string, (frame: any, id: string) => void>} */
  #takes = {
    welcome: (frame) => this.#welcomed(frame),
    entry: (frame, id) => this.#entry(id, frame),
    reset: (frame, id) => this.#reset(id, frame),
    conversation: ({ type, now_ms, ...item }, id) => item.seq >= (this.items.get(id)?.seq ?? 0) && this.#put(id, item),
    read: (frame, id) => this.#read(id, frame),
    typing: ({ active }, id) => this.#writes(id, active),
    presence: (frame) => this.#presence(frame),
    quick_replies: () => this.#tell("quick_replies"),
    bye: (frame) => (this.#goingAway = frame.retry_after_ms),
    ok: (frame) => this.#answered(frame),
    error: (frame) => this.#answered(frame),
  };

  /** @param {Frame} frame */
  #welcomed(frame) {
    this.welcome = frame;
    this.#attempt = 0;
    this.typing.clear();
    const known = this.items;
    this.items = new Map([...frame.conversations, ...frame.waiting].map((item) => [item.conversation_id, item]));
    for (const [id, item] of known) if (!this.items.has(id) && this.#logs.has(id)) this.items.set(id, item);
    for (const { conversation_id: id, seq } of frame.conversations) if (!this.#logs.has(id)) this.#cursors.set(id, seq);
    clearInterval(this.#beat);
    this.#beat = setInterval(() => this.#check(frame.heartbeat_ms), frame.heartbeat_ms / 2);
    this.#set("connected");
    this.#flush();
    this.#tell("welcome");
    for (const id of this.items.keys()) this.#changed(id);
  }

  /** A page cannot see the websocket's own pings: it asks, and takes silence for a lost connection. @param {number} every */
  #check(every) {
    const silent = Date.now() - this.#heard;
    if (silent > every + ANSWER_WITHIN) this.#lost(0);
    else if (silent > every / 2) this.#ws?.send(JSON.stringify({ type: "ping", id: crypto.randomUUID() }));
  }

  /** What is here of a conversation: `entries` in order, `first` the oldest seq there is. @param {string} id */
  log(id) {
    return this.#logs.get(id);
  }

  /** Read the newest page of a conversation, unless all of it is here: of one that somebody else has, entries may have
   * been missed. @param {string} id */
  async load(id) {
    const known = this.#logs.get(id);
    if (known && (known.loading || (this.items.get(id)?.seq ?? 0) <= (this.#cursors.get(id) ?? 0))) return;
    this.#logs.set(id, { entries: [], first: 0, ...known, loading: true });
    try {
      this.#newest(id, await this.command("history", { conversation_id: id, limit: 50 }));
    } catch (error) {
      this.#logs.delete(id);
      if (known) this.#logs.set(id, known);
      throw error;
    }
  }

  /** The log as it is; where it has another entry than was shown, its end was lost in a failover, and what is there
   * instead is new. @param {string} id @param {Frame} page */
  #reset(id, page) {
    const log = this.#logs.get(id);
    const other = page.entries.find((/** @type {Entry} */ { seq, at_ms }) => log?.entries.some((entry) => entry.seq === seq && entry.at_ms !== at_ms));
    if (other) this.#cursors.set(id, other.seq - 1);
    this.#logs.delete(id);
    this.#newest(id, page);
  }

  /** A page of the newest entries is the log from now on, but for what came after it. @param {string} id @param {Frame} page */
  #newest(id, page) {
    const live = this.#logs.get(id)?.entries.filter(({ seq }) => seq > page.last_seq) ?? [];
    const entries = [...page.entries, ...live], item = this.items.get(id);
    // Of a conversation that is new here nothing is news, but to its buyer.
    const cursor = this.#cursors.get(id) ?? (this.me.role === "buyer" ? 0 : Infinity);
    this.#logs.set(id, { entries, first: page.first_seq, loading: false });
    this.#cursors.set(id, live.at(-1)?.seq ?? page.last_seq);
    if (!item || !live.length) this.items.set(id, { ...item, line: lastLine(entries) ?? item?.line, ...page.conversation });
    for (const entry of page.entries) if (entry.seq > cursor) this.#tell("entry", { id, entry });
    this.#changed(id);
  }

  /** Read a page before the oldest entry here; whether there was one. @param {string} id */
  async older(id) {
    const log = this.#logs.get(id);
    const oldest = log?.entries[0]?.seq ?? 0;
    if (!log || log.loading || oldest <= log.first) return false;
    log.loading = true;
    try {
      const page = await this.command("history", { conversation_id: id, before: oldest, limit: 100 });
      log.entries.unshift(...page.entries.filter((/** @type {Entry} */ entry) => entry.seq < log.entries[0].seq));
      log.first = page.first_seq;
    } finally {
      log.loading = false;
    }
    this.#changed(id);
    return true;
  }

  /** @param {string} id @param {Entry} entry */
  #entry(id, entry) {
    if (entry.seq <= (this.#cursors.get(id) ?? 0)) return;
    this.#cursors.set(id, entry.seq);
    this.#logs.get(id)?.entries.push(entry);
    if (entry.text) this.typing.delete(id);
    const item = this.items.get(id) ?? /** @type {any} */ ({ conversation_id: id, seq: entry.seq - 1 });
    this.items.set(id, afterEntry(item, entry, this.me.role));
    this.#tell("entry", { id, entry });
    this.#changed(id);
  }

  /** @param {string} id @param {any} item */
  #put(id, item) {
    this.items.set(id, item);
    this.#changed(id);
  }

  /** @param {string} id @param {{ by: "agent" | "buyer", seq: number, unread: number, last_seq: number }} frame */
  #read(id, { by, seq, unread, last_seq: counted }) {
    const item = this.items.get(id);
    if (!item || seq <= (item.read?.[by] ?? 0)) return;
    const mine = (by === "buyer") === (this.me.role === "buyer");
    const later = this.log(id)?.entries.filter((entry) => entry.unread && entry.seq > counted).length ?? 0;
    this.#put(id, { ...item, read: { ...item.read, [by]: seq }, ...(mine && { unread: unread + later, counted }) });
  }

  /** Somebody who is writing says so again every few seconds, or is gone. @param {string} id @param {boolean} active */
  #writes(id, active) {
    clearTimeout(this.#writing.get(id));
    if (active) this.#writing.set(id, setTimeout(() => this.#writes(id, false), TYPING_LASTS));
    this.typing.set(id, active);
    this.#tell("typing", { id });
  }

  /** @param {Frame} frame */
  #presence(frame) {
    const other = frame.role === "agent" ? "agent_id" : "buyer_id";
    if ((frame.role === "agent") === (this.me.role === "buyer"))
      for (const [id, item] of this.items) if (item[other] === frame.id) this.#put(id, { ...item, online: frame.state !== "offline" });
    this.#tell("presence", frame);
  }

  /** @param {Frame} frame */
  #answered(frame) {
    const sent = this.#pending.get(frame.re);
    if (frame.re === null) this.problem = frame;
    if (!sent) return;
    if (frame.type === "error" && frame.retry_after_ms >= 0) {
      const again = () => {
        sent.over = null;
        this.#flush();
      };
      return setTimeout(again, frame.retry_after_ms);
    }
    this.#pending.delete(frame.re);
    this.#flush();
    if (frame.type === "ok") sent.resolve(frame);
    else sent.reject(new CommandError(frame));
  }

  /** Send any command; its `ok`. Over a cut it is sent again with its id. Rejects with CommandError.
   * @param {string} type @param {object} [members] @returns {Promise<Frame>} */
  command(type, members = {}) {
    return this.#post({ type, id: crypto.randomUUID(), ...members });
  }

  /** @param {Frame} frame @returns {Promise<Frame>} */
  #post(frame) {
    return new Promise((resolve, reject) => {
      this.#pending.set(frame.id, { frame, over: null, resolve, reject });
      this.#flush();
    });
  }

  /** Send what is not on its way; of what is said in a conversation one at a time, so that it arrives in its order. */
  #flush() {
    if (this.state !== "connected") return;
    const saying = new Set();
    for (const sent of this.#pending.values()) {
      const { type, conversation_id: id } = sent.frame;
      if (type === "say" && saying.has(id)) continue;
      if (type === "say") saying.add(id);
      if (sent.over === this.#ws) continue;
      sent.over = this.#ws;
      sent.over?.send(JSON.stringify(sent.frame));
    }
  }

  /** Say something, now or as soon as there is a connection; until then it is in the `outbox`.
   * @param {string} conversation_id @param {string} text */
  say(conversation_id, text) {
    const unsent = { id: crypto.randomUUID(), conversation_id, text, at: this.now() };
    this.outbox.push(unsent);
    this.#keepOutbox();
    return this.#deliver(unsent);
  }

  /** @param {Unsent} unsent */
  async #deliver(unsent) {
    const { id, conversation_id, text } = unsent;
    try {
      const ok = await this.#post({ type: "say", id, conversation_id, text });
      this.discard(id);
      return ok;
    } catch (error) {
      unsent.error = /** @type {CommandError} */ (error).problem;
      this.#keepOutbox();
      throw error;
    }
  }

  /** Say once more what was not taken. @param {string} id */
  async retry(id) {
    const unsent = this.outbox.find((one) => one.id === id);
    if (!unsent?.error) return;
    delete unsent.error;
    this.#keepOutbox();
    return this.#deliver(unsent);
  }

  /** Forget what was not taken. @param {string} id */
  discard(id) {
    this.outbox = this.outbox.filter((one) => one.id !== id);
    this.#keepOutbox();
  }

  #keepOutbox() {
    this.store?.setItem(`${this.name}:outbox`, JSON.stringify(this.outbox));
    this.#tell("outbox");
  }
}

/** An item after an entry, as that role sees it. @param {Item} item @param {Entry} entry @param {string} role */
export function afterEntry(item, entry, role) {
  if (entry.seq <= item.seq) return item;
  const next = { ...item, ...entry.conversation, seq: entry.seq };
  // A read mark may have been told before the entries that it counted.
  if (entry.unread && entry.seq > (item.counted ?? 0)) next.unread = (item.unread ?? 0) + 1;
  if (entry.card) {
    const { proposal_id, order_id, state, deadline_ms } = entry.card;
    next.cards = (item.cards ?? []).filter((card) => card.proposal_id !== proposal_id);
    if (state === "pending" || state === "applying") next.cards.push({ proposal_id, order_id, state, deadline_ms });
    next.cards.sort((a, b) => a.deadline_ms - b.deadline_ms || (a.proposal_id < b.proposal_id ? -1 : 1));
  }
  next.line = lastLine([entry]) ?? item.line;
  if (role === "buyer") {
    // Whoever has just taken it is here; of anything later a presence tells.
    if (next.agent_id && next.agent_id !== item.agent_id) next.online = true;
    return next;
  }
  const by = entry.text?.by.role, system = entry.system?.code;
  const answered = by === "agent" || entry.card?.version === 1 || system === "closed";
  // Whoever it was handed to has the whole time for the reply.
  const asked = next.asked_ms ? ["transferred", "transferred_because", "reassigned"].includes(system) : by === "buyer";
  if (answered || asked) Object.assign(next, { asked_ms: answered ? null : entry.at_ms, overdue: false });
  if (entry.notice?.code === "reply_overdue") next.overdue = true;
  next.group = next.open === false || next.agent_id === undefined ? null : !next.agent_id ? "unassigned" : next.asked_ms ? "to_reply" : "in_progress";
  return next;
}

/** The last text or card, as a list shows it. @param {Entry[]} entries */
function lastLine(entries) {
  const entry = entries.findLast((one) => one.text || one.card);
  if (!entry) return undefined;
  const said = entry.text ?? { by: null, text: `${entry.card?.title} · ${entry.card?.label}` };
  return { seq: entry.seq, at_ms: entry.at_ms, ...said };
}
