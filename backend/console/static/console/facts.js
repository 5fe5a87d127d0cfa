// The line under a message: where an answer comes from, what it cost, and what can be done with it.

import { copyButton } from "./copying.js";
import { element, iconButton } from "./dom.js";
import { replaceKeepingFocus } from "./focus.js";
import { count, duration, money, t } from "./i18n.js";
import { asMarkdown } from "./saving.js";

/** Under an answer. `showSources()` opens the first of its sources. */
export function drawFacts(node, message, context, actions, showSources) {
  const { usage, cost, currency, citations, status, duration_ms: milliseconds, feedback } = message;
  const complete = status === "complete";
  node.hidden = status === "streaming" || message.id?.startsWith("answer-");
  if (node.hidden) return;
  const tokens = usage.input_tokens + usage.output_tokens;
  const thumb = (name, rating) =>
    iconButton(name, t(`feedback.${name}`), () => actions.rate(message, rating), { "aria-pressed": String(feedback?.rating === rating) });
  const sources = new Set(citations.map(({ n }) => n)).size;
  fill(node, [
    citations.length > 0 && element("button", { type: "button", class: "sources", onclick: showSources }, count("sources", sources)),
    complete && tokens > 0 && element("span", {}, count("tokens", tokens)), // One that failed has its cost in the notice.
    complete && element("span", { class: "cost" }, money(cost, currency)),
    complete && milliseconds && element("span", {}, duration(milliseconds)),
    element(
      "span",
      { class: "tools" },
      message.parts.some(({ type }) => type === "text") && copyButton(() => asMarkdown(message), t("copy.answer")),
      complete && !context.busy && iconButton("again", t("regenerate"), () => actions.regenerate(message)),
      complete && thumb("up", 1),
      complete && thumb("down", -1),
    ),
    turns(message, context, actions),
  ]);
}

/** Under a question: the way to ask it in other words, and to those in which it was asked. */
export function drawTurns(node, message, context, actions, editButton) {
  fill(node, [element("span", { class: "tools" }, editButton), turns(message, context, actions)]);
}

/** ‹ 2/3 › where a message has others in its place. */
function turns(message, { place, places, busy }, actions) {
  if (!(places > 1)) return null;
  const step = (name, label, by, possible) =>
    iconButton(name, t(label), () => actions.turn(message, by), { disabled: !possible || busy, "data-turn": name });
  return element(
    "span",
    { class: "turns", role: "group", "aria-label": t("branch.label", { place, places }) },
    step("previous", "branch.previous", -1, place > 1),
    element("span", {}, `${place}/${places}`),
    step("next", "branch.next", 1, place < places),
  );
}

function fill(node, children) {
  replaceKeepingFocus(node, ...children.filter(Boolean));
  node.hidden = !node.textContent && !node.querySelector("button");
}
