/** The page's one session: who it is, and its connection. Law: the token is never in an address, nor outlives the tab. */

import { ChatClient } from "./chat.js";
import { h } from "./dom.js";
import { locale, t } from "./i18n.js";

const name = `assent:${location.pathname}`, key = `${name}:token`;
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(key, given);
  history.replaceState(null, "", location.pathname + location.search);
}
const token = () => sessionStorage.getItem(key) ?? "";

export const chat = new ChatClient({ token, locale, store: sessionStorage, name });

/** Connect, or say kindly that nobody is signed in here. Whether there is somebody. */
export function begin() {
  if (token()) chat.connect();
  else document.body.replaceChildren(h("main.nobody", h("h1", t("nobody.title")), h("p", t("nobody.detail"))));
  return Boolean(token());
}
