/** The demo's stage: both screens in one window, what to do next, and buttons for what the rest of the world does. */

import { ChatClient } from "./chat.js";
import { everySecond, fill, h, icon, tell } from "./dom.js";
import { dotted, locale, otherLocale, switchLocale, switchTheme, t } from "./i18n.js";

const MOVES = ["pay", "ship", "refund"], SHORT = 30, REAL = 7200;
/** At most so much is left once the hours have passed, in ms. */
const PASSED = 10_000;

async function ask(path = "", /** @type {object | undefined} */ body = undefined) {
  const headers = { "Accept-Language": locale, "Content-Type": "application/json" };
  const response = await fetch(`/demo/${path}`, { method: body ? "POST" : "GET", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.title} · ${answer.detail}`);
  return answer;
}

/** @type {any} the people, the buyer's orders and the answer window, as the server told them last */
let world = await ask("session").catch(() => null);
let playing = false, over = false;

function begin() {
  const [first, second, , buyer] = world.people;
  // One more device of the buyer's: it hears what the negotiation has come to.
  const chat = new ChatClient({ token: () => buyer.token, locale });
  const said = h("p.said.muted", { role: "status" });
  const order = h("select", { ariaLabel: t("stage.order"), onchange: () => show() });
  const moves = MOVES.map((move) => h("button", { value: move, onclick: () => play(`orders/${order.value}/${move}`) }, t(`stage.${move}`)));
  const pass = h("button", () => play("pass-time"), icon("clock"), t("stage.pass"));
  const short = h("input", { type: "checkbox", role: "switch", onchange: () => play("window", { seconds: short.checked ? SHORT : REAL }) });
  const steps = [1, 2, 3].map((step) => h("li.row", h("b", step), h("span", t(`stage.step${step}`))));
  const screens = [screen("workbench", first, second, t("stage.other", second)), screen("chat", buyer, buyer, t("stage.device"))];

  const play = async (path = "", body = {}) => {
    playing = true;
    show();
    try {
      world = { ...world, ...(await ask(path, body)) };
      tell(said, t(`stage.done.${path.split("/").at(-1)}`, { order: order.value }));
    } catch (error) {
      tell(said, /** @type {Error} */ (error).message);
      await look();
    }
    playing = false;
    show();
  };
  const look = async () => (world = await ask("session").catch(() => world));

  /** What the orders allow; the one chosen stays, and at first it is one whose specs can be changed. */
  const show = () => {
    const possible = ({ moves = [""] }) => MOVES.some((move) => moves.includes(move));
    /** @type {any[]} */ const all = world.orders, open = all.filter(({ can_change }) => can_change);
    const chosen = all.find(({ id }) => id === order.value) ?? open.find(({ id }) => id === world.order_id) ?? open[0] ?? all.find(possible) ?? all[0];
    fill(order, all.filter((one) => one === chosen || possible(one)).map(({ id, label, tags, lines: [{ title }] }) =>
      h("option", { value: id }, dotted(id, label, ...tags.map((/** @type {any} */ tag) => tag.label), title))));
    order.value = chosen.id;
    for (const button of moves) button.disabled = playing || !chosen.moves.includes(button.value);
    short.disabled = playing;
    short.checked = world.window_ms <= SHORT * 1000;
    tick();
  };
  const tick = () => {
    const open = [...chat.items.values()].flatMap(({ cards }) => cards ?? []), pending = open.filter(({ state }) => state === "pending");
    pass.disabled = playing || !pending.some(({ deadline_ms }) => deadline_ms - chat.now() > PASSED);
    const now = pending.length ? 1 : open.length || over ? 2 : 0;
    steps.forEach((step, index) => step.setAttribute("aria-current", index === now ? "step" : "false"));
  };

  document.title = t("stage.title", world.shop);
  document.body.append(
    h(
      "header",
      h("h1.row", h("img", { src: "/web/icon.svg", alt: "", width: 26 }), "Assent"),
      h("ol.row", { ariaLabel: t("stage.steps") }, steps),
      h("button.plain", { onclick: switchLocale, lang: otherLocale }, t("stage.language")),
      h("button.plain", { onclick: switchTheme, ariaLabel: t("stage.theme") }, icon("theme")),
    ),
    h("main", screens),
    h("footer.box", { role: "region", ariaLabel: t("stage.world") }, h("b", t("stage.world")), order, moves, pass, h("label.row", { title: t("stage.short.why") }, short, t("stage.short")), said),
  );
  show();
  everySecond(document.body, tick);
  chat.on("entry", async ({ entry: { card } }) => {
    if (!card) return;
    over = !card.buttons.length && card.state !== "applying";
    if (card.version === 1) order.value = card.order_id;
    if (over) tell(said, "");
    await look();
    show();
  });
  chat.connect();
}

/** One person's screen, and a way to one more. @param {string} id @param {any} who @param {any} other @param {string} more */
function screen(id, who, other, more) {
  const title = t(`stage.${id}`, who), href = `/${id}#token=`;
  return h("section", { id }, h("p.row.muted", title, h("a", { href: href + other.token, target: "_blank", rel: "noopener" }, more)), h("iframe.box", { src: href + who.token, title }));
}

if (world) begin();
else document.body.append(h("main.nobody", h("h1", "Assent"), h("p", t("stage.none"))));
