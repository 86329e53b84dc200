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
  const [first] = children, handler = typeof first === "function";
  const given = handler || first?.constructor === Object ? children.shift() : {};
  for (const [name, value] of Object.entries(handler ? { onclick: given } : given)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child || child === 0));
  return element;
}

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

/**
 * Make a parent's children those of `items`, in order; whoever is there already stays, with its focus and scroll.
 * @template T
 * @param {Element} parent @param {T[]} items @param {(item: T) => string} key
 * @param {(item: T) => HTMLElement} make @param {(element: any, item: T) => void} [update]
 */
export function keyed(parent, items, key, make, update) {
  const there = new Map([...parent.children].map((child) => [child.getAttribute("data-key"), child]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let child = there.get(name);
    there.delete(name);
    if (!child) {
      child = make(item);
      child.setAttribute("data-key", name);
    }
    update?.(child, item);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const child of there.values()) child.remove();
}

/** @type {Map<Element, () => void>} */
const ticking = new Map();
setInterval(() => {
  for (const [element, tick] of ticking)
    if (element.isConnected) tick();
    else ticking.delete(element);
}, 1000);

/** Call now and each second, until `element` is not in the page. @param {Element} element @param {() => void} tick */
export function everySecond(element, tick) {
  tick();
  ticking.set(element, tick);
}

/** What calls `act` once before the next frame, however often it is called itself. @param {() => void} act */
export function beforeFrame(act) {
  let asked = 0;
  const run = () => {
    asked = 0;
    act();
  };
  // A hidden page has no frames, but has to be right when it is looked at.
  return () => (asked ||= document.hidden ? setTimeout(run, 100) : requestAnimationFrame(run));
}

// A live region speaks of changes only: it has to be there before.
const [polite, assertive] = ["polite", "assertive"].map((how) => h("div.sr-only", { id: `live-${how}`, "aria-live": how, role: how === "polite" ? "status" : "alert" }));
document.body.append(polite, assertive);

/** Say something to screen readers: `interrupt` at once. @param {string} text @param {boolean} [interrupt] */
export function announce(text, interrupt) {
  const region = interrupt ? assertive : polite;
  region.append(h("p", text));
  if (region.childElementCount > 3) region.firstElementChild?.remove();
}
