/** Elements without markup: everything people wrote becomes a text node, never HTML. */

/**
 * An element: its tag and classes ("p.muted"), what it is given, if anything, and its children (false, null, "": none).
 * Of what is given, `on…` are listeners, what the element knows are properties, the rest attributes; a function alone is
 * what a click does.
 * @template {string} S
 * @param {S} what @param {...any} children
 * @returns {import("./types").ElementOf<S>}
 */
export function h(what, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = /** @type {any} */ (document.createElement(tag));
  element.classList.add(...classes);
  let [given] = children;
  if (typeof given === "function") children[0] = given = { onclick: given };
  if (given?.constructor === Object) children.shift();
  else given = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  fill(element, ...children);
  return element;
}

/** Make these the children of an element, instead of any others. @param {Element} element @param {...any} children */
export const fill = (element, ...children) => element.replaceChildren(...children.flat().filter((child) => child || child === 0));

/** An icon of icons.svg, for the eye only. @param {string} name */
export function icon(name) {
  const [svg, use] = ["svg", "use"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  use.setAttribute("href", `/web/icons.svg#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  svg.append(use);
  return svg;
}

/** A sign of presence, for the eye only. @param {boolean | undefined} on */
export const dot = (on) => h(on ? "span.dot.on" : "span.dot");

/** What only screen readers say. @param {any} text */
export const spoken = (text) => h("span.sr-only", text);

/** Define a custom element by what fills it once it is in the page.
 * @template {keyof HTMLElementTagNameMap} N
 * @param {N} name @param {(self: HTMLElementTagNameMap[N]) => void} fill */
export const define = (name, fill) =>
  customElements.define(name, class extends HTMLElement {
    connectedCallback() {
      fill(/** @type {any} */ (this));
    }
  });

/** A dialog, open, and gone once it is closed. @param {string} look @param {string} ariaLabel @param {...any} children */
export function openDialog(look, ariaLabel, ...children) {
  const dialog = h(`dialog.box.${look}`, { ariaLabel, closedBy: "any", onclose: () => dialog.remove() }, ...children);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** What a button opens, and any click elsewhere shuts. @param {HTMLButtonElement} button
 * @param {string} look @param {string} ariaLabel @param {(event: ToggleEvent) => void} ontoggle @param {...any} children */
export function panel(button, look, ariaLabel, ontoggle, ...children) {
  const made = h(`div.panel.box.${look}`, { popover: "auto", role: "dialog", ariaLabel, ontoggle }, ...children);
  button.popoverTargetElement = made;
  document.body.append(made);
  return made;
}

/** Put a text where it is not there yet: a live region reads out whatever is put there, be it news or not.
 * @param {Element} element @param {string} [text] */
export function tell(element, text = "") {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make a parent's children those of `items`, in order; whoever is there already stays, with its focus and scroll.
 * @template T
 * @param {Element} parent @param {T[]} items @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} make @param {(element: any, item: T) => void} [update]
 */
export function keyed(parent, items, key, make, update) {
  const there = new Map([...parent.children].map((child) => [/** @type {HTMLElement} */ (child).dataset.key, child]));
  const kept = new Set(items.map(key));
  for (const [name, child] of there) if (!kept.has(name ?? "")) child.remove();
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = key(item), child = /** @type {HTMLElement} */ (there.get(name) ?? make(item));
    child.dataset.key = name;
    update?.(child, item);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
}

/** @type {Map<Element, () => void>} */
const ticking = new Map();

/** What is done each second, at once. */
export function tick() {
  for (const [element, act] of ticking)
    if (element.isConnected) act();
    else ticking.delete(element);
}
setInterval(tick, 1000);

/** Call now and each second, until `element` is not in the page. @param {Element} element @param {() => void} act */
export function everySecond(element, act) {
  act();
  ticking.set(element, act);
}

/** What calls `act` once before the next frame, however often it is called itself. @param {() => void} act */
export function beforeFrame(act) {
  let asked = 0;
  const run = () => {
    asked = 0;
    act();
  };
  // A hidden page has no frames, but has to be right when it is looked at.
  return () => {
    asked ||= document.hidden ? setTimeout(run, 100) : requestAnimationFrame(run);
  };
}

// A live region speaks of changes only: it has to be there before.
const [polite, assertive] = ["status", "alert"].map((role) => h("div.sr-only", { role }));
document.body.append(polite, assertive);

/** Say something to screen readers: `interrupt` at once. @param {string} text @param {boolean} [interrupt] */
export function announce(text, interrupt) {
  const region = interrupt ? assertive : polite;
  region.append(h("p", text));
  if (region.childElementCount > 3) region.firstElementChild?.remove();
}
