/** What is shown for a while, and said to screen readers. */

import { announce, h, icon } from "./dom.js";
import { t } from "./i18n.js";

const LASTS = 8000;
const toasts = document.body.appendChild(h("div.toasts"));

/** @param {string} title @param {string} [detail] @param {string} [kind] @param {() => void} [onclick] */
export function toast(title, detail = "", kind = "info", onclick) {
  const dismiss = () => shown.remove(), act = () => (dismiss(), onclick?.());
  const leave = () => (shown.matches(":hover, :focus-within") ? setTimeout(leave, LASTS) : dismiss());
  const shown = h(
    `div.toast.box.${kind}`,
    h(onclick ? "button" : "div", act, h("b", title), detail),
    h("button.plain", { ariaLabel: t("notices.dismiss"), onclick: dismiss }, icon("x")),
  );
  setTimeout(leave, LASTS);
  if (toasts.childElementCount > 3) toasts.firstChild?.remove();
  toasts.append(shown);
  announce(`${title} ${detail}`, kind === "bad");
}

/** What a command is answered; a refusal is shown, and told to `refused`.
 * @template T @param {Promise<T>} answer @param {(error: import("./chat.js").CommandError) => void} [refused] */
export async function attempt(answer, refused) {
  try {
    return await answer;
  } catch (error) {
    const problem = /** @type {import("./chat.js").CommandError} */ (error);
    toast(problem.message, problem.detail, "bad");
    refused?.(problem);
  }
}
