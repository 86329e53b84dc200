/** Texts, times and amounts in the language of the page: Chinese first, English by a switch that the browser remembers. */

const remembered = localStorage.getItem("assent:locale");
export const locale = remembered === "en" ? "en" : "zh-CN";
export const otherLocale = locale === "en" ? "zh-CN" : "en";
const root = document.documentElement;
root.lang = locale;

/** @type {Record<string, string>} */
const texts = await (await fetch(`/web/texts/${locale}.json`)).json();

/** The text of a key, its `{placeholders}` filled. @param {string} key @param {Record<string, any>} [params] */
export function t(key, params = {}) {
  return (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => params[name] ?? whole);
}

/** Switch the language; the page starts again. */
export function switchLocale() {
  localStorage.setItem("assent:locale", otherLocale);
  location.reload();
}

/** Light or dark as was chosen, here or in any other page of ours; else as the system is. */
function showTheme() {
  root.dataset.theme = localStorage.getItem("assent:theme") ?? "";
}
addEventListener("storage", showTheme);
showTheme();

/** The other of light and dark, from now on. */
export function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
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
  const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const [hours, rest] = [Math.floor(seconds / 3600), seconds % 3600];
  return `${hours ? `${hours}:` : ""}${pad(Math.floor(rest / 60))}:${pad(rest % 60)}`;
}

/** An amount in minor units, with the sign that the server's texts have too. @param {number} cents @param {string} currency */
export function money(cents, currency) {
  const currencyDisplay = ["CNY", "USD"].includes(currency) ? "narrowSymbol" : "symbol";
  const format = new Intl.NumberFormat(locale, { style: "currency", currency, currencyDisplay });
  return format.format(cents / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}
