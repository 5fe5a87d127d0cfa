// The page's language: its texts, its numbers, its money and its times.

import { texts as english } from "./texts.en.js";
import { texts as portuguese } from "./texts.pt-br.js";

const CHOICE = "orquestra.language";
const TEXTS = { en: english, "pt-br": portuguese };

/** Each language by its own name. */
export const LANGUAGES = { en: "English", "pt-br": "Português" };

/** The codes are those of the API: what is here goes into Accept-Language as it is. */
export const language = chosen() ?? preferred();

function chosen() {
  const code = localStorage.getItem(CHOICE);
  return code in TEXTS ? code : null;
}

function preferred() {
  for (const wish of navigator.languages) {
    if (/^pt\b/i.test(wish)) return "pt-br";
    if (/^en\b/i.test(wish)) return "en";
  }
  return "en";
}

/** Everything shown comes from the server, so a reload in the other language is the whole switch. */
export function chooseLanguage(code) {
  localStorage.setItem(CHOICE, code);
  location.reload();
}

export const switchLanguage = () => chooseLanguage(language === "en" ? "pt-br" : "en");

const texts = TEXTS[language];

/** The text of `key` with its {placeholders} filled, or null where there is none. */
export function tryText(key, values = {}) {
  const text = texts[key];
  return text === undefined ? null : text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

export function t(key, values) {
  const text = tryText(key, values);
  if (text === null) throw new Error(`There is no text "${key}" in ${language}.`);
  return text;
}

const plural = new Intl.PluralRules(language);
const number = new Intl.NumberFormat(language);

/** count("sources", 2) → "2 sources" */
export const count = (noun, value) => t(`count.${noun}.${plural.select(value) === "one" ? "one" : "other"}`, { n: number.format(value) });

/** A decimal string as money. Amounts of less than a cent keep the digits that say something. */
export function money(amount, currency = "USD", { exact = false } = {}) {
  const value = Number(amount);
  const small = value !== 0 && Math.abs(value) < 0.995;
  const format = { style: "currency", currency, minimumFractionDigits: 2, maximumFractionDigits: exact ? 6 : small ? 4 : 2 };
  if (small && !exact && Math.abs(value) < 0.0001) return `< ${new Intl.NumberFormat(language, format).format(0.0001)}`;
  return new Intl.NumberFormat(language, format).format(value);
}

/** A balance, never rounded up; of small amounts also what is less than a cent, as answers cost so little. */
export function balance(amount, currency = "USD") {
  const digits = Math.abs(Number(amount)) < 100 ? 4 : 2;
  const units = Math.floor(Number(amount) * 10 ** digits + 1e-6);
  const shown = digits === 4 && units % 100 === 0 ? 2 : digits;
  return new Intl.NumberFormat(language, { style: "currency", currency, minimumFractionDigits: shown, maximumFractionDigits: shown }).format(units / 10 ** digits);
}

export function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 60) return `${new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** "in 40 seconds", "in 5 minutes". */
export function inTime(seconds) {
  const format = new Intl.RelativeTimeFormat(language);
  return seconds < 90 ? format.format(Math.ceil(seconds), "second") : format.format(Math.ceil(seconds / 60), "minute");
}

/** 1_234_567 → "1.2 MB" */
export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, value)) / 3));
  const unitDisplay = power ? "short" : "long"; // "kB", but "bytes".
  return new Intl.NumberFormat(language, { style: "unit", unit: units[power], unitDisplay, maximumFractionDigits: 1 }).format(value / 1000 ** power);
}

export const date = (text) => new Intl.DateTimeFormat(language, { dateStyle: "medium" }).format(new Date(text));
export const dateTime = (text) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(new Date(text));

/** Fill the texts that stand in the HTML: data-text, and data-label for names that only assistive software reads. */
export function translate(root) {
  document.documentElement.lang = language === "pt-br" ? "pt-BR" : language;
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const node of root.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  for (const node of root.querySelectorAll("[data-placeholder]")) node.placeholder = t(node.dataset.placeholder);
}
