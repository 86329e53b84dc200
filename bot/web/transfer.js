/** Handing a conversation to a colleague (转接): who is here, how much they have to do, and why. */

import { dot, h, openDialog } from "./dom.js";
import { t } from "./i18n.js";
import { chat, current, item } from "./session.js";
import { attempt } from "./toast.js";

/** Ask to whom, and do it. */
export async function transfer() {
  const conversation_id = current, found = await attempt(chat.command("agents"));
  if (!found) return;
  const reason = h("input", { maxLength: 200, placeholder: t("transfer.reason"), ariaLabel: t("transfer.reason") });
  const choices = found.agents.map(
    (/** @type {Frame} */ { id: value, name, state, conversations: count, limit }) =>
      value !== chat.me.id &&
      h(
        "label.choice.box.row",
        h("input", { type: "radio", name: "agent", value, required: true, disabled: state === "offline" || count >= limit }),
        dot(state === "online"),
        h("b", name),
        h("span.muted", t(`workbench.${state}`), " · ", t("transfer.load", { count, limit })),
      ),
  );
  const onsubmit = () => {
    const agent_id = new FormData(form).get("agent");
    attempt(chat.command("transfer", { conversation_id, agent_id, reason: reason.value.trim() || null }));
  };
  const form = h(
    "form",
    { method: "dialog", onsubmit },
    h("h2", t("transfer.title", { buyer: item()?.buyer_name })),
    h("fieldset", { ariaLabel: t("transfer.to"), "data-empty": t("transfer.nobody") }, choices),
    reason,
    h("footer", h("button", { type: "button", onclick: () => dialog.close() }, t("transfer.cancel")), h("button.primary", t("transfer.go"))),
  );
  const dialog = openDialog("transfer", t("transfer.go"), form);
}
