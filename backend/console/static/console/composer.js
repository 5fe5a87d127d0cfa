// The field for the question: what was typed survives a reload and a log-in, in this tab only.

import { find } from "./dom.js";

const DRAFT = "orquestra.draft";

/** `onAsk(text)` resolves to false if it could not be asked; `onBusy()` is called when nothing can be asked now. */
export function createComposer({ isBusy, onBusy, onAsk }) {
  const field = find("#question");

  async function ask(text) {
    if (!text.trim()) return;
    if (isBusy()) return onBusy();
    const typed = field.value;
    write("");
    // A starter does not throw away what was typed; a question that could not be asked comes back.
    if (!(await onAsk(text.trim()))) write(text);
    else if (typed !== text && !field.value) write(typed);
  }

  function write(text) {
    field.value = text;
    fit();
    sessionStorage.setItem(DRAFT, text);
  }

  // The field grows with its text: by CSS where the browser can, else by hand.
  const grows = CSS.supports("field-sizing", "content");
  function fit() {
    if (grows) return;
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  }

  field.addEventListener("input", () => {
    sessionStorage.setItem(DRAFT, field.value);
    fit();
  });
  field.value = sessionStorage.getItem(DRAFT) ?? "";
  field.addEventListener("keydown", (event) => {
    // Enter that ends a composition (Japanese, Chinese, dead keys) is not Enter that sends.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask(field.value);
  });
  find("#composer").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(field.value);
  });

  return { ask };
}
