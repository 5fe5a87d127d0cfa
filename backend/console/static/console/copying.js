// Copying to the clipboard, with a word that it was done.

import { announce } from "./announce.js";
import { element, icon, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { toast } from "./problems.js";

const SHOWN_MS = 1600; // How long a button shows that it has copied.

/** A button that copies what `text()` gives. */
export function copyButton(text, label, properties = {}) {
  const button = iconButton("copy", label, async () => {
    if (!(await copied(text()))) return toast(t("copy.failed"));
    button.replaceChildren(icon("done"));
    announce(t("copy.done"));
    setTimeout(() => button.replaceChildren(icon("copy")), SHOWN_MS);
  }, properties);
  return button;
}

/** Give every block of code in a node a button that copies it; returns the node to put in its place. */
export function withCopyButtons(node) {
  const dressed = element("div", {}, node);
  for (const block of dressed.querySelectorAll("pre")) {
    const frame = element("div", { class: "listing" });
    block.replaceWith(frame);
    frame.append(block, copyButton(() => block.textContent, t("copy.code")));
  }
  return dressed.firstChild;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text); // The clipboard's interface exists only in secure contexts (https or localhost).
  }
}

function copiedBySelection(text) {
  const field = element("textarea", { class: "visually-hidden", readonly: true });
  field.value = text;
  const before = document.activeElement;
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus();
  return done;
}
