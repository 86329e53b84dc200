/** Handing a conversation to a colleague (转接): who is here, how much they have to do, and why. */

import { dot, h } from "./dom.js";
import { t } from "./i18n.js";
import { attempt } from "./notices.js";
import { chat } from "./session.js";

/** Ask to whom, and do it, or not. @param {string} id */
export async function transfer(id) {
  const found = await attempt(chat.command("agents"));
  if (!found) return;
  const reason = h("input", { maxLength: 200, placeholder: t("transfer.reason"), ariaLabel: t("transfer.reason") });
  const wrong = h("p.bad", { role: "alert" }), go = h("button.primary", { disabled: true }, t("transfer.go"));
  const choices = found.agents.flatMap((/** @type {Frame} */ { id: value, name, state, conversations: count, limit }) => {
    if (value === chat.me.id) return [];
    const choice = h("input", { type: "radio", name: "agent", value, disabled: state === "offline" || count >= limit, onchange: () => (go.disabled = false) });
    return h("label.choice.box.row", choice, dot(state === "online"), h("b", name), h("span.muted", t(`workbench.${state}`), " · ", t("transfer.load", { count, limit })));
  });
  const onsubmit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    go.disabled = true;
    const agent_id = new FormData(form).get("agent");
    try {
      await chat.command("transfer", { conversation_id: id, agent_id, reason: reason.value.trim() || null });
      dialog.close();
    } catch (error) {
      const { message, detail } = /** @type {import("./chat.js").CommandError} */ (error);
      wrong.textContent = `${message} ${detail}`;
      go.disabled = false;
    }
  };
  const form = h("form", { onsubmit },
    h("h2", t("transfer.title", { buyer: chat.items.get(id)?.buyer_name })),
    h("fieldset", { ariaLabel: t("transfer.to"), "data-empty": t("transfer.nobody") }, choices), reason, wrong,
    h("footer", h("button", { type: "button", onclick: () => dialog.close() }, t("transfer.cancel")), go));
  const dialog = h("dialog.transfer.box", { ariaLabel: t("transfer.go") }, form);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve));
  dialog.remove();
}
