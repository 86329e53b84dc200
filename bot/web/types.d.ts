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
