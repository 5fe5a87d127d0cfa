// An error as a sentence for people, and small news at the edge of the page.

import { element, find } from "./dom.js";
import { inTime, money, t, tryText } from "./i18n.js";

/** What went wrong, in a person's words: each code that the API sends has its text here, in both languages. */
export function problemText(error, values = {}) {
  const extra = error.extra ?? {};
  if (error.code === "insufficient_balance") {
    const amount = (name) => money(extra[name] ?? "0", extra.currency);
    return t("error.insufficient_balance", { available: amount("available"), required: amount("required") });
  }
  const fields = error.errors?.map(({ code, detail }) => tryText(`field.${code}`) ?? detail).filter(Boolean) ?? [];
  if (fields.length) return [...new Set(fields)].join(" ");
  if (error.code === "rate_limited" && extra.retryAfter) return t("error.rate_limited_until", { time: inTime(extra.retryAfter) });
  return tryText(`error.${error.code}`, { name: t("error.file"), detail: error.message, ...values }) ?? t("error.other");
}

/** News that needs no answer; it goes away by itself and is read aloud (the place is a status region). */
export function toast(text) {
  const note = element("p", { class: "toast" }, text);
  find("#toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}
