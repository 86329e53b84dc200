/** Where a message is written. Law: nothing typed is lost, neither to another conversation nor to a reload. */

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { chat } from "./session.js";

const LONGEST = 2000, SIGN_EVERY = 3000;

export class AssentComposer extends HTMLElement {
  hint = t("composer.placeholder");
  /** The page's own buttons, before the field. */
  tools = h("div.composer-tools");
  /** @type {string | null} */ #id = null;
  /** @type {string | null} */ #blocked = null;
  #signed = 0;
  #send = h("button.primary", () => this.#say(), t("composer.send"));
  #count = h("span.muted", { role: "status" });
  #field = h("textarea", {
    rows: 1,
    maxLength: LONGEST,
    ariaLabel: t("composer.label"),
    oninput: () => this.#typed(),
    onblur: () => this.#sign(false),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#say();
    },
  });

  connectedCallback() {
    this.replaceChildren(this.tools, h("div.composer", this.#field, this.#count, this.#send));
    this.#show();
  }

  get conversation() {
    return this.#id;
  }

  set conversation(id) {
    if (id === this.#id) return;
    this.#sign(false);
    this.#id = id;
    this.#field.value = (id && chat.store?.getItem(this.#draft)) || "";
    this.#show();
  }

  get #draft() {
    return `${chat.name}:draft:${this.#id}`;
  }

  /** Why nothing can be said here now; null if it can. */
  get blocked() {
    return this.#blocked;
  }

  set blocked(why) {
    this.#blocked = why;
    this.#show();
  }

  focus() {
    this.#field.focus();
  }

  /** Put a text where the cursor is. @param {string} text */
  insert(text) {
    const field = this.#field;
    field.focus();
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    this.#typed();
  }

  #typed() {
    const { value } = this.#field;
    chat.store?.setItem(this.#draft, value);
    this.#sign(Boolean(value.trim()));
    this.#show();
  }

  /** Tell the other side, unless it would come late. @param {boolean} active */
  #sign(active) {
    const now = Date.now();
    if (!this.#id || chat.state !== "connected" || (active ? now - this.#signed < SIGN_EVERY : !this.#signed)) return;
    this.#signed = active ? now : 0;
    chat.command("typing", { conversation_id: this.#id, active }).catch(() => {});
  }

  #say() {
    const field = this.#field, text = field.value.trim();
    if (!text || !this.#id || field.disabled) return;
    chat.say(this.#id, text).catch(() => {}); // the log shows what was not taken
    field.value = "";
    this.#typed();
  }

  #show() {
    const field = this.#field, left = LONGEST - field.value.length;
    field.disabled = this.#blocked !== null || !this.#id;
    field.placeholder = this.#blocked ?? this.hint;
    this.#send.disabled = field.disabled || !field.value.trim();
    this.#count.textContent = left < 200 ? t("composer.left", { left }) : "";
  }
}

customElements.define("assent-composer", AssentComposer);
