// Where the focus goes when what had it is taken away: never to the body, where the keyboard would begin at the top again.

import { find } from "./dom.js";

/** Change the page with `work()`; if that takes away or hides what has the focus, `other()` gives what has it then. */
export function keepingFocus(work, other) {
  const before = document.activeElement;
  const result = work();
  if (before && before !== document.body && !canHaveFocus(before)) other()?.focus({ preventScroll: true });
  return result;
}

const canHaveFocus = (node) => node.isConnected && !node.disabled && node.checkVisibility();

/** Put new children into a node; what had the focus gives it to the same control of the new ones, if that is there. */
export function replaceKeepingFocus(node, ...children) {
  const focused = node.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  node.replaceChildren(...children);
  if (focused) [...node.querySelectorAll("button:enabled")].find((button) => nameOf(button) === focused)?.focus({ preventScroll: true });
}

const nameOf = (button) => `${button.title} ${button.textContent}`;

/** The button of a message that goes on to the version before or after, else the one in the other direction. */
export function turnButton(root, step) {
  const [before, after] = ["previous", "next"].map((name) => find(`.turns [data-turn="${name}"]:enabled`, root));
  return (step < 0 ? before : after) ?? before ?? after;
}
