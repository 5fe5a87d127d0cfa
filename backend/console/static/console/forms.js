// Forms: every refused field has its sentence beside it, once, and the first one the focus.

import { element, find } from "./dom.js";
import { t, tryText } from "./i18n.js";
import { problemText } from "./problems.js";

let counted = 0; // Ids of the sentences.

/** The sentence for one refused field: ours where it is more specific than the server's, which is translated too. */
const sentence = ({ code, detail }) => tryText(`field.${code}`) ?? detail;

/**
 * Show why a form was refused. A field is found by the first name of its JSON pointer ("/limits/max_cost" also by
 * "limits.max_cost"); an error without a field in the form is shown in `general`. Changing a field clears its error.
 */
export function showRefusal(form, problem, general) {
  clearRefusal(form, general);
  const rest = [];
  let first = null;
  for (const error of problem.errors ?? []) {
    const path = (error.pointer ?? "").split("/").slice(1);
    const input = [path.join("."), path[0]].map((name) => name && form.elements.namedItem(name)).find((found) => found?.closest?.("label, .field"));
    if (!input || input.closest("[hidden]")) rest.push(sentence(error));
    else if (!input.hasAttribute("aria-invalid")) {
      complain(input, sentence(error));
      first ??= input;
    }
  }
  if (!first && !rest.length) rest.push(problemText(problem));
  general.textContent = [...new Set(rest)].join(" ");
  first?.focus();
}

/** Say what is wrong with one field, beside it. */
export function complain(input, text) {
  const id = `refused-${(counted += 1)}`;
  const note = element("span", { class: "error", id }, text);
  const described = input.getAttribute("aria-describedby") ?? "";
  const undo = () => {
    note.remove();
    input.removeAttribute("aria-invalid");
    if (described) input.setAttribute("aria-describedby", described);
    else input.removeAttribute("aria-describedby");
    input.removeEventListener("input", undo);
  };
  // Beside the label and not in it: a label's text is the field's name.
  if (input.closest(".field")) input.closest(".field").append(note);
  else input.closest("label").after(note);
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", `${described} ${id}`.trim());
  input.addEventListener("input", undo);
  input.addEventListener("refusal-cleared", undo, { once: true });
}

export function clearRefusal(form, general) {
  general.textContent = "";
  for (const input of form.querySelectorAll("[aria-invalid]")) input.dispatchEvent(new Event("refusal-cleared"));
}

/** A field with its label, and a hint where there is one, which is read with the field. */
export function field(label, input, hint = null) {
  const id = `field-${(counted += 1)}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return element("div", { class: "field" }, element("label", { for: id }, label), hint ? element("span", { class: "soft", id: `${id}-hint` }, hint) : "", input);
}

/** Run `work` when the form is sent, once at a time; what is refused is shown at its field. */
export function whenSent(form, work) {
  const general = find(".refusal", form);
  form.noValidate = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = find("[type=submit]", form);
    if (button.disabled) return;
    button.disabled = true;
    clearRefusal(form, general);
    try {
      await work(new FormData(form));
    } catch (problem) {
      button.disabled = false; // Before the focus: a browser gives none to what it takes for inert.
      showRefusal(form, problem, general);
    } finally {
      button.disabled = false;
    }
  });
}
