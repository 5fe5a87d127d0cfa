// One message of a conversation as an element that is brought up to date while the answer grows.

import { element, icon, iconButton } from "./dom.js";
import { count, duration, money, t, tryText } from "./i18n.js";
import { blockReader, render } from "./markdown.js";

/** All text of a message, as Markdown. */
export const textOf = (message) =>
  message.parts
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("\n\n");

/**
 * `actions`: cite(citation, button), rate(message, rating), retry(message).
 * `update(message, activity)` may be called as often as something changes; it touches only what differs.
 */
export function createMessageView(message, actions) {
  return message.role === "user" ? userView(message) : assistantView(message, actions);
}

function userView(message) {
  const bubble = element("div", { class: "bubble" });
  const root = element("article", { class: "message user", tabindex: "-1", "aria-label": t("message.yours") }, bubble);
  const update = (changed) => (bubble.textContent = textOf(changed));
  update(message);
  return { root, update };
}

function assistantView(first, actions) {
  let message = first;
  const activity = element("p", { class: "activity", hidden: true });
  const body = element("div", { class: "answer" });
  const notice = element("div", { class: "notice", hidden: true });
  const footer = element("footer", { class: "facts", hidden: true });
  const root = element("article", { class: "message assistant", tabindex: "-1", "aria-label": t("message.theirs") }, activity, body, notice, footer);
  const read = blockReader();
  let drawn = []; // What stands in the body, block by block: { key, node }.
  let sources = ""; // The numbers that were sources when it was drawn.

  const citation = (n) => message.citations.find((candidate) => candidate.n === n);
  const cite = (n) => {
    const found = citation(n);
    if (!found) return null;
    const label = t(found.page_from ? "citation.page" : "citation.text", { n, document: found.document_name, page: found.page_from });
    return element("button", { type: "button", class: "cite", "data-n": n, "aria-label": label, title: label }, String(n));
  };
  body.addEventListener("click", ({ target }) => {
    const button = target.closest(".cite");
    if (button) actions.cite(citation(Number(button.dataset.n)), button);
  });

  // A long answer is drawn block by block, and only the blocks that changed: the work per token stays small.
  function drawBody(streaming) {
    const known = message.citations.map(({ n }) => n);
    const { blocks, kept } = read(textOf(message));
    let same = String(known) === sources ? Math.min(kept, drawn.length) : 0;
    sources = String(known);
    while (same < drawn.length && same < blocks.length && drawn[same].key === keyOf(blocks[same], known)) same += 1;
    for (const { node } of drawn.splice(same)) node.remove();
    for (const block of blocks.slice(same)) {
      const node = render(block, cite);
      body.append(node);
      drawn.push({ key: keyOf(block, known), node });
    }
    body.classList.toggle("streaming", streaming);
    body.hidden = drawn.length === 0 && !streaming;
  }

  function update(changed, seen) {
    message = changed;
    const streaming = message.status === "streaming";
    drawBody(streaming);
    drawActivity(activity, seen, streaming && drawn.length === 0);
    drawNotice(notice, message, actions);
    drawFacts(footer, message, actions);
    root.setAttribute("aria-busy", String(streaming));
  }

  return { root, update };
}

// A block looks different when its text does, or when one of its numbers has become a source.
function keyOf({ kind, lines }, known) {
  const text = lines.join("\n");
  return `${kind}\n${text}\n${known.filter((n) => text.includes(String(n)))}`;
}

/** What the agent did for this answer; `seen` comes from activity() of answer.js. */
function drawActivity(node, seen, waiting) {
  let text = null;
  if (seen?.searching) text = t("activity.searching");
  else if (seen?.passages) {
    text = t("activity.searched", { documents: count("documents", seen.documents), passages: count("passages", seen.passages) });
  } else if (seen?.searched) text = t("activity.nothing");
  else if (waiting) text = t("activity.thinking");
  node.hidden = text === null;
  if (node.textContent !== text) node.replaceChildren(icon("search"), element("span", {}, text ?? ""));
}

/** Why an answer is not whole, in words for people, what it cost, and the way on. */
function drawNotice(node, message, actions) {
  const { status, error, cost, currency } = message;
  const failed = status === "failed";
  const incomplete = status === "complete" ? incompleteness(message) : null;
  node.hidden = !failed && status !== "interrupted" && incomplete === null;
  if (node.hidden || node.children.length) return;
  if (incomplete !== null) {
    node.append(element("p", {}, icon("warning"), incomplete));
    return;
  }
  const reason = failed ? tryText(`failed.${error?.code}`) ?? error?.detail ?? t("failed.unknown") : t("stopped.text");
  node.classList.toggle("failed", failed);
  node.append(
    element("p", {}, failed && icon("warning"), reason, " ", t("stopped.cost", { cost: money(cost, currency) })),
    failed ? element("button", { type: "button", class: "quiet", onclick: () => actions.retry(message) }, t("retry")) : "",
  );
}

/** What a complete answer still lacks: the model was cut off, or said nothing. */
function incompleteness({ parts, finish_reason: reason }) {
  const said = parts.some(({ type, text }) => type === "text" && text.trim());
  if (reason === "length") return t(said ? "cut.text" : "cut.empty");
  return said ? null : t("empty.text");
}

function drawFacts(node, message, actions) {
  const { usage, cost, currency, citations, status, duration_ms: milliseconds, feedback } = message;
  node.hidden = status === "streaming" || status === "failed" || status === "interrupted"; // Those have a notice.
  if (node.hidden) return;
  const tokens = usage.input_tokens + usage.output_tokens;
  const thumb = (name, rating) =>
    iconButton(name, t(`feedback.${name}`), () => actions.rate(message, rating), {
      "aria-pressed": String(feedback?.rating === rating),
    });
  node.replaceChildren(
    citations.length ? element("span", {}, count("sources", citations.length)) : "",
    tokens ? element("span", {}, count("tokens", tokens)) : "",
    element("span", { class: "cost" }, money(cost, currency)),
    milliseconds ? element("span", {}, duration(milliseconds)) : "",
    element("span", { class: "thumbs" }, thumb("up", 1), thumb("down", -1)),
  );
}
