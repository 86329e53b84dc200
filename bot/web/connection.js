/** The connection, visibly: what goes on while there is none, and what can be done. */

import { everySecond, h } from "./dom.js";
import { t } from "./i18n.js";

export class AssentConnection extends HTMLElement {
  /** @type {Chat} */ chat = /** @type {any} */ (null);
  #text = h("span", { role: "status" });
  #seconds = h("span", { "aria-hidden": "true" });
  #now = h("button", { class: "plain", onclick: () => this.chat.reconnect() }, t("connection.now"));

  connectedCallback() {
    this.replaceChildren(h("span", { class: "dot" }), this.#text, this.#seconds, this.#now);
    this.chat.addEventListener("state", () => this.#show());
    everySecond(this, () => this.#show());
  }

  #show() {
    const { state, retryAt, problem } = this.chat, seconds = Math.ceil((retryAt - Date.now()) / 1000);
    const waits = state === "connecting" && seconds > 0, refused = state === "refused" ? problem : null;
    const text = refused?.title ?? t(`connection.${waits ? "retry" : state}`);
    this.dataset.state = state;
    this.title = refused?.detail ?? "";
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#seconds.textContent = waits ? `${seconds} s` : "";
    this.#now.hidden = !waits && state !== "offline";
  }
}

customElements.define("assent-connection", AssentConnection);
