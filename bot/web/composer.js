/** <assent-composer>: where a message is written. Law: nothing typed is lost, neither to another conversation nor to a reload. */

import { define, h, tell } from "./dom.js";
import { t } from "./i18n.js";
import { chat, current } from "./session.js";

const LONGEST = 2000, SIGN_EVERY = 3000;

define("assent-composer", (self) => {
  /** @type {string | null} */ let blocked = null;
  let signed = 0;
  const draft = () => `${chat.name}:draft:${current}`;
  const count = h("span.muted", { role: "status" }), send = h("button.primary", say, t("composer.send"));
  const field = h("textarea", {
    rows: 1,
    maxLength: LONGEST,
    ariaLabel: t("composer.label"),
    oninput: typed,
    onblur: () => sign(false),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      say();
    },
  });

  function typed() {
    sessionStorage.setItem(draft(), field.value);
    sign(Boolean(field.value.trim()));
    show();
  }

  /** Tell the other side, unless it would come late. @param {boolean} active */
  function sign(active) {
    const now = Date.now();
    if (chat.state !== "connected" || (active ? now - signed < SIGN_EVERY : !signed)) return;
    signed = active ? now : 0;
    chat.command("typing", { conversation_id: current, active }).catch(() => {});
  }

  function say() {
    const text = field.value.trim();
    if (!text || field.disabled) return;
    chat.say(current, text).catch(() => {}); // the log shows what was not taken
    field.value = "";
    typed();
  }

  function show() {
    const left = LONGEST - field.value.length;
    field.disabled = blocked !== null || !current;
    field.placeholder = blocked ?? t(chat.me?.role === "buyer" ? "buyer.write" : "composer.placeholder");
    send.disabled = field.disabled || !field.value.trim();
    tell(count, left < 200 ? t("composer.left", { left }) : "");
  }

  self.append(field, count, send);
  self.focus = () => field.focus();
  self.block = (why) => {
    blocked = why;
    show();
  };
  self.insert = (text) => {
    field.focus();
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    typed();
  };
  chat.on("turn", () => {
    field.value = sessionStorage.getItem(draft()) ?? "";
    show();
  });
  show();
});
