// A question as it was asked, and the field in which it is asked in other words.

import { element, iconButton } from "./dom.js";
import { t } from "./i18n.js";

/** `onAsk(text)` resolves to false if it could not be asked: the field then stays. */
export function createQuestion({ onAsk }) {
  const bubble = element("div", { class: "bubble" });
  const root = element("div", {}, bubble);
  const editButton = iconButton("pencil", t("edit"), open);
  let text = "";

  function update(changed) {
    if (changed !== text) bubble.textContent = text = changed;
  }

  function open() {
    const field = element("textarea", { rows: "2", "aria-label": t("edit") });
    field.value = text;
    const form = element(
      "form",
      { class: "edit card" },
      field,
      element(
        "div",
        { class: "row end" },
        element("button", { type: "button", class: "quiet", onclick: close }, t("cancel")),
        element("button", { type: "submit", class: "primary" }, t("composer.send")),
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(field);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation(); // Else it would also stop an answer.
        close();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send(field);
      }
    });
    root.replaceChildren(form);
    root.parentElement.classList.add("editing");
    field.focus();
  }

  function close() {
    root.replaceChildren(bubble);
    root.parentElement.classList.remove("editing");
    editButton.focus();
  }

  async function send(field) {
    const wanted = field.value.trim();
    if (!wanted || wanted === text.trim()) return close();
    field.readOnly = true; // A disabled field would lose the focus.
    if (await onAsk(wanted)) close(); // This one stays as it was, on its branch.
    else field.readOnly = false;
  }

  return { root, update, editButton };
}
