/** Quick replies (快捷短语): a panel that puts one into the message, filled in for who and what is spoken of. */

import { fill, h, panel } from "./dom.js";
import { t } from "./i18n.js";
import { chat } from "./session.js";
import { attempt } from "./toast.js";

/** @typedef {{ title: string, text: string, filled?: string }} Reply */

/** @param {HTMLButtonElement} button  what opens it @param {() => object} where @param {(text: string) => void} insert */
export function quickReplies(button, where, insert) {
  const lists = h("div"), shown = panel(button, "quick", t("quick.title"), ({ newState }) => newState === "open" && show(), lists);

  async function show() {
    fill(lists); // what it was filled with may be of another order
    const found = await attempt(chat.command("quick_replies", where()));
    if (!found) return;
    const row = (/** @type {Reply} */ { title, text, filled = text }) =>
      h("li", h("button.plain", () => (shown.hidePopover(), insert(filled)), h("b", title), filled));
    fill(lists, ["mine", "shop"].flatMap((scope) => [h("h2", t(`quick.${scope}`)), h("ul", { "data-empty": t("quick.none") }, found[scope].map(row))]));
  }

  chat.on("quick_replies", () => shown.matches(":popover-open") && show());
}
