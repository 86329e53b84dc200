/** The page's one session: who it is, its connection, and the conversation it is turned to. Law: the token is never in an
 * address, nor outlives the tab. */

import { ChatClient } from "./chat.js";
import { h, tick } from "./dom.js";
import { locale, t } from "./i18n.js";

const name = `assent:${location.pathname}`, key = `${name}:token`;
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(key, given);
  history.replaceState(null, "", location.pathname + location.search);
}
const token = () => sessionStorage.getItem(key) ?? "";

export const chat = new ChatClient({ token, locale, store: sessionStorage, name });
chat.on("state", tick);

/** The conversation that is turned to, or "". */
export let current = "";

export const item = () => chat.items.get(current);

/** Whether a conversation is this agent's. @param {Item | undefined} [one] */
export const mine = (one = item()) => one?.agent_id === chat.me?.id;

/** @param {string} id */
export function turnTo(id) {
  current = id;
  chat.dispatchEvent(new CustomEvent("turn", { detail: { id } }));
}

/** Hear of events of the conversation that is turned to. @param {string} types @param {(detail: any) => void} listener */
export const follow = (types, listener) => chat.on(types, (detail) => detail.id === current && listener(detail));

/** Connect, or say kindly that nobody is signed in here. Whether there is somebody. */
export function begin() {
  if (token()) chat.connect();
  else document.body.replaceChildren(h("main.nobody", h("h1", t("nobody.title")), h("p", t("nobody.detail"))));
  return Boolean(token());
}
