// An error as a sentence for people, and small news at the edge of the page.

import { element, find } from "./dom.js";
import { money, t, tryText } from "./i18n.js";

/** The server's own sentence is in the person's language too; ours say more where a person can do something. */
export function problemText(error, values = {}) {
  if (error.code === "insufficient_balance") {
    const amount = (name) => money(error.extra[name] ?? "0", error.extra.currency);
    return t("error.insufficient_balance", { available: amount("available"), required: amount("required") });
  }
  const fields = error.errors?.map(({ detail }) => detail).filter(Boolean) ?? [];
  if (fields.length) return fields.join(" ");
  return tryText(`error.${error.code}`, values) ?? t("error.other", { detail: error.message });
}

/** News that needs no answer; it goes away by itself and is read aloud (the place is a status region). */
export function toast(text) {
  const note = element("p", { class: "toast" }, text);
  find("#toasts").append(note);
  setTimeout(() => note.remove(), 6000);
}
