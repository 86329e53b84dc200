/** <assent-connection>, visibly: what goes on while there is none, and what can be done. */

import { everySecond, h } from "./dom.js";
import { t } from "./i18n.js";
import { chat } from "./session.js";

export class AssentConnection extends HTMLElement {
  connectedCallback() {
    const text = h("span", { role: "status" }), seconds = h("span", { ariaHidden: "true" });
    const now = h("button.plain", () => chat.reconnect(), t("connection.now"));
    const show = () => {
      const { state, retryAt, problem } = chat, left = Math.ceil((retryAt - Date.now()) / 1000);
      const waits = state === "connecting" && left > 0, refused = state === "refused" ? problem : null;
      const said = refused?.title ?? t(`connection.${waits ? "retry" : state}`);
      this.dataset.state = state;
      this.title = refused?.detail ?? "";
      if (text.textContent !== said) text.textContent = said;
      seconds.textContent = waits ? `${left} s` : "";
      now.hidden = !waits && state !== "offline";
    };
    this.replaceChildren(h("span.dot"), text, seconds, now);
    chat.on("state", show);
    everySecond(this, show);
  }
}

customElements.define("assent-connection", AssentConnection);
