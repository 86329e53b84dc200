/** What goes over the wire, as the pages see it. Not served: it is there for the type check. */

/** Any frame: its members depend on `type`. */
export type Frame = Record<string, any>;

export interface Entry {
  seq: number;
  at_ms: number;
  unread?: true;
  text?: { by: { role: string; id: string; name: string }; text: string };
  card?: Card;
  notice?: Frame;
  system?: Frame;
  conversation?: Frame;
}

export interface Card {
  proposal_id: string;
  conversation_id: string;
  order_id: string;
  version: number;
  state: string;
  label: string;
  title: string;
  lines: CardLine[];
  price_line: string;
  currency: string;
  total_before_cents: number;
  total_after_cents: number;
  waived_cents: number;
  buttons: { action: string; label: string }[];
  created_ms: number;
  deadline_ms: number;
  settled_ms: number | null;
  reason: { code: string; text: string } | null;
  comment: string | null;
}

export interface CardLine {
  line_id: string;
  title: string;
  quantity: number;
  from_sku: string;
  to_sku: string;
  old: string;
  new: string;
  unit_price_before_cents: number;
  unit_price_after_cents: number;
}

export interface OpenCard {
  proposal_id: string;
  order_id: string;
  state: string;
  deadline_ms: number;
}

export interface Item {
  conversation_id: string;
  seq: number;
  buyer_id: string;
  buyer_name: string;
  agent_id: string | null;
  agent_name: string | null;
  open?: boolean;
  unread: number;
  read: { agent?: number; buyer?: number };
  cards: OpenCard[];
  line?: { seq: number; at_ms: number; by: { role: string; name: string } | null; text: string } | null;
  group?: string | null;
  asked_ms?: number | null;
  overdue?: boolean;
  online?: boolean;
  [other: string]: any;
}

export interface Log {
  entries: Entry[];
  first: number;
  loading: boolean;
}

export interface Unsent {
  id: string;
  conversation_id: string;
  text: string;
  at: number;
  error?: Frame;
}

export interface Order {
  id: string;
  status: string;
  label: string;
  tags: { code: string; label: string }[];
  lines: { line_id: string; title: string; spec: string; quantity: number; unit_price_cents: number }[];
  total_cents: number;
  refusal: { code: string; title: string; detail: string } | null;
  card: Card | null;
}

/** What each SKU of a line's product would mean; with a `code` none can be, and `detail` says why. */
export interface QuoteLine {
  line_id: string;
  title: string;
  sku_id: string;
  spec: string;
  quantity: number;
  code: string | null;
  detail: string | null;
  verdicts: Verdict[];
}

export type Options = Record<string, string>;

/** A refusal's texts. */
export interface No {
  title: string | null;
  detail?: string | null;
  code?: string | null;
}

export interface Verdict {
  sku_id: string;
  options: Record<string, string>;
  spec: string;
  allowed: boolean;
  needs_waiver: boolean;
  code: string | null;
  title: string | null;
  detail: string | null;
  unit_price_before_cents: number;
  unit_price_after_cents: number;
  stock: number;
}

type TagOf<What> = What extends `${infer Tag}.${string}` ? Tag : What;

/** What dom.js makes of "tag.class". */
export type ElementOf<What> = TagOf<What> extends keyof HTMLElementTagNameMap ? HTMLElementTagNameMap[TagOf<What>] : HTMLElement;

type WireCard = Card;
type WireEntry = Entry;
type WireFrame = Frame;
type WireItem = Item;

declare global {
  type Chat = import("./chat.js").ChatClient;
  type Card = WireCard;
  type Entry = WireEntry;
  type Frame = WireFrame;
  type Item = WireItem;
  interface HTMLElementTagNameMap {
    /** `actions` are a card's buttons; `cardOf` a proposal's card where it stands, `goTo` shows it, however long ago it was sent. */
    "assent-log": HTMLElement & {
      actions(card: Card): HTMLElement[];
      cardOf(proposal: string): HTMLElement | null;
      goTo(proposal: string): Promise<void>;
    };
    /** `block` says why nothing can be said here now, null if it can; `insert` puts a text where the cursor is. */
    "assent-composer": HTMLElement & { block(why: string | null): void; insert(text: string): void };
    /** `chosen` is the order that the agent turned to, or "". */
    "assent-orders": HTMLElement & { chosen: string };
    "assent-connection": HTMLElement;
    "assent-list": HTMLElement;
    "assent-strip": HTMLElement;
  }
}

declare module "./chat.js" {
  interface ChatClient {
    addEventListener(
      type: string,
      listener: ((event: CustomEvent) => void) | EventListenerObject | null,
      options?: boolean | AddEventListenerOptions,
    ): void;
  }
}
