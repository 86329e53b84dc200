/** Quick replies (快捷短语): a panel that puts one into the message, filled in; one's own are kept here too. */

import { h, icon } from "./dom.js";
import { t } from "./i18n.js";
import { attempt } from "./notices.js";
import { chat } from "./session.js";

/** @typedef {{ id: string, title: string, text: string, filled?: string }} Reply */

/** The panel; `where` says what they are filled for. @param {() => object} where @param {(text: string) => void} insert */
export function quickReplies(where, insert) {
  /** @type {string | undefined} */ let edited;
  const lists = h("div"), save = h("button.primary");
  const title = h("input", { maxLength: 50, placeholder: t("quick.name"), ariaLabel: t("quick.name") });
  const text = h("textarea", { maxLength: 2000, rows: 2, required: true, placeholder: t("quick.text"), ariaLabel: t("quick.text") });
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (await change(edited ? "edit" : "add", { reply_id: edited, title: title.value, text: text.value })) edit();
  };
  const ontoggle = (/** @type {ToggleEvent} */ event) => event.newState === "open" && show();
  const panel = h("div.panel.quick.box", { popover: "auto", role: "dialog", ariaLabel: t("quick.title"), ontoggle }, lists, h("form", { onsubmit }, title, text, save));

  /** @param {string} what @param {object} members */
  async function change(what, members) {
    const done = await attempt(chat.command(`${what}_quick_reply`, members));
    await show();
    return done;
  }

  /** @param {Reply} [reply] */
  function edit(reply) {
    edited = reply?.id;
    title.value = reply?.title ?? "";
    text.value = reply?.text ?? "";
    save.textContent = t(reply ? "quick.save" : "quick.add");
    if (reply) text.focus();
  }

  /** @param {Reply} reply @param {number} at */
  function tools(reply, at) {
    const reply_id = reply.id;
    /** @type {Record<string, () => any>} */
    const all = {
      up: () => change("move", { reply_id, position: Math.max(0, at - 1) }),
      down: () => change("move", { reply_id, position: at + 1 }),
      edit: () => edit(reply),
      trash: () => change("delete", { reply_id }),
    };
    return Object.entries(all).map(([what, onclick]) => h("button.plain", { id: `${what}-${reply_id}`, title: `${t(`quick.${what}`)} ${reply.title}`, onclick }, icon(what)));
  }

  async function show() {
    const found = await attempt(chat.command("quick_replies", where()));
    if (!found) return;
    const focused = document.activeElement?.id;
    const row = (/** @type {string} */ scope) => (/** @type {Reply} */ reply, /** @type {number} */ at) => {
      const { title, text, filled = text } = reply;
      const put = () => (panel.hidePopover(), insert(filled));
      return h("li", h("button.plain", put, h("b", title), filled), scope === "mine" && tools(reply, at));
    };
    lists.replaceChildren(...["mine", "shop"].flatMap((scope) => [h("h2", t(`quick.${scope}`)), h("ul", { "data-empty": t("quick.none") }, found[scope].map(row(scope)))]));
    if (focused) (document.getElementById(focused) ?? text).focus();
  }

  chat.on("quick_replies", () => panel.matches(":popover-open") && show());
  edit();
  document.body.append(panel);
  return panel;
}
