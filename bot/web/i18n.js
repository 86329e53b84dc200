/** Texts, times and amounts in the language of the page: Chinese first, English by a switch that the browser remembers. */

const remembered = localStorage.getItem("assent:locale");
export const locale = remembered === "en" ? "en" : "zh-CN";
export const otherLocale = locale === "en" ? "zh-CN" : "en";
const root = document.documentElement;
root.lang = locale;

/** @type {Record<string, string>} */
const texts = await (await fetch(`/web/texts/${locale}.json`)).json();

/** What is written from right to left, and characters that turn a line around. */
const TURNS = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** A value among other words, of which it turns none around: it ends nothing that it did not begin. @param {any} value */
function alone(value) {
  if (!TURNS.test(value)) return value;
  let open = 0;
  const text = value.replace(/[\u2066-\u2069]/g, (/** @type {string} */ sign) => (sign < "\u2069" ? (open++, sign) : open ? (open--, sign) : ""));
  return `\u2068${text}${"\u2069".repeat(open + 1)}`;
}

/** The text of a key, its `{placeholders}` filled. @param {string} key @param {Record<string, any>} [params] */
export const t = (key, params = {}) => (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => alone(params[name] ?? whole));

/** Whatever there is of them, in one line. @param {...any} parts */
export const dotted = (...parts) => parts.filter(Boolean).map(alone).join(" · ");

/** Switch the language; the page starts again. */
export function switchLocale() {
  localStorage.setItem("assent:locale", otherLocale);
  location.reload();
}

/** Light or dark as was chosen, here or in any other page of ours; else as the system is. */
const showTheme = () => (root.dataset.theme = localStorage.getItem("assent:theme") ?? "");
addEventListener("storage", showTheme);
showTheme();

/** The other of light and dark, from now on. */
export function switchTheme() {
  const dark = (root.dataset.theme || matchMedia("(prefers-color-scheme: dark)").matches && "dark") === "dark";
  localStorage.setItem("assent:theme", dark ? "light" : "dark");
  showTheme();
}

const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(locale, { month: "long", day: "numeric", weekday: "short" });

/** 09:41 @param {number} ms */
export const time = (ms) => clock.format(ms);

/** 今天, 昨天, 11月3日周一 @param {number} ms @param {number} now */
export function date(ms, now) {
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(ms).setHours(0, 0, 0, 0)) / 86_400_000);
  return days === 0 ? t("today") : days === 1 ? t("yesterday") : day.format(ms);
}

/** 1:59:07 or 03:12; never below zero. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const pad = (/** @type {number} */ n) => String(Math.floor(n)).padStart(2, "0");
  return `${seconds < 3600 ? "" : `${Math.floor(seconds / 3600)}:`}${pad((seconds / 60) % 60)}:${pad(seconds % 60)}`;
}

/** An amount in minor units, with the sign that the server's texts have too. @param {number} cents @param {string} currency */
export function money(cents, currency) {
  const currencyDisplay = ["CNY", "USD"].includes(currency) ? "narrowSymbol" : "symbol";
  const format = new Intl.NumberFormat(locale, { style: "currency", currency, currencyDisplay });
  return format.format(cents / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}
