/** Elements without markup: everything people wrote becomes a text node, never HTML. */

/**
 * An element: `on…` are listeners, `class`, `aria-…`, `data-…` and the like attributes (false and null: none), the rest of
 * what the element knows properties.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, any>} [props] @param {...any} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.startsWith("aria") && name !== "list") /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An icon of icons.svg, for the eye only. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS(svg.namespaceURI ?? "", "use");
  use.setAttribute("href", `/web/icons.svg#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  svg.append(use);
  return svg;
}

/**
 * Make a parent's children those of `keys`, in order; whoever is there already stays, with its focus and scroll.
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

/** @type {Set<() => void>} */
const ticking = new Set();
setInterval(() => ticking.forEach((tick) => tick()), 1000);

/** Call now and each second, until `element` has left the page. @param {Element} element @param {() => void} tick */
export function everySecond(element, tick) {
  tick();
  let seen = false;
  const wrapped = () => {
    seen ||= element.isConnected;
    if (seen && !element.isConnected) ticking.delete(wrapped);
    else tick();
  };
  ticking.add(wrapped);
}

/** Say something to screen readers: `assertive` interrupts. @param {string} text @param {"polite" | "assertive"} [how] */
export function announce(text, how = "polite") {
  let region = document.getElementById(`live-${how}`);
  if (!region) {
    region = h("div", { id: `live-${how}`, class: "sr-only", "aria-live": how, role: how === "polite" ? "status" : "alert" });
    document.body.append(region);
  }
  region.append(h("p", {}, text));
  while (region.childElementCount > 3) region.firstElementChild?.remove();
}
