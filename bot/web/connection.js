/** <assent-connection>, visibly: what goes on while there is none, and what can be done. */

import { define, everySecond, h, tell } from "./dom.js";
import { t } from "./i18n.js";
import { chat } from "./session.js";

define("assent-connection", (self) => {
  const text = h("span", { role: "status" }), seconds = h("span", { ariaHidden: "true" });
  const now = h("button.plain", () => chat.reconnect(), t("connection.now"));
  self.append(h("span.dot"), text, seconds, now);
  everySecond(self, () => {
    const { state, retryAt, problem } = chat, left = Math.ceil((retryAt - Date.now()) / 1000);
    const waits = state === "connecting" && left > 0, refused = state === "refused" && problem;
    self.dataset.state = state;
    self.title = refused ? refused.detail : "";
    tell(text, refused ? refused.title : t(`connection.${waits ? "retry" : state}`));
    tell(seconds, waits ? `${left} s` : "");
    now.hidden = !waits && state !== "offline";
  });
});
