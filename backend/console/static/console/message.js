// One message of a conversation as an element that is brought up to date while the answer grows.

import { element, icon, iconButton } from "./dom.js";
import { count, duration, money, t, tryText } from "./i18n.js";
import { blocks, render } from "./markdown.js";

/** All text of a message, as Markdown. */
export const textOf = (message) =>
  message.parts
    .filter((part) => part.type === "text")
    .map((part) => part.text)
    .join("\n\n");

/**
 * `actions`: cite(citation, button), rate(message, rating), retry(message).
 * `update(message, run, activity)` may be called as often as something changes; it touches only what differs.
 */
export function createMessageView(message, actions) {
  return message.role === "user" ? userView(message) : assistantView(message, actions);
}

function userView(message) {
  const bubble = element("div", { class: "bubble" });
  const root = element("article", { class: "message user", "aria-label": t("message.yours") }, bubble);
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
  const root = element("article", { class: "message assistant", "aria-label": t("message.theirs") }, activity, body, notice, footer);
  let drawn = []; // What stands in the body, block by block: { key, node }.

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
    const wanted = blocks(textOf(message)).map((block) => ({ block, key: keyOf(block, known) }));
    let same = 0;
    while (same < drawn.length && same < wanted.length && drawn[same].key === wanted[same].key) same += 1;
    for (const { node } of drawn.splice(same)) node.remove();
    for (const { block, key } of wanted.slice(same)) {
      const node = render(block, cite);
      body.append(node);
      drawn.push({ key, node });
    }
    body.classList.toggle("streaming", streaming);
    body.hidden = drawn.length === 0 && !streaming;
  }

  function update(changed, run, seen) {
    message = changed;
    const streaming = message.status === "streaming";
    drawBody(streaming);
    drawActivity(activity, seen, streaming && drawn.length === 0, run);
    drawNotice(notice, message, run, actions);
    drawFacts(footer, message, run, actions);
    root.setAttribute("aria-busy", String(streaming));
  }

  return { root, update };
}

// A block looks different when its text does, or when one of its numbers has become a source.
function keyOf({ kind, lines }, known) {
  const text = lines.join("\n");
  return `${kind}\n${text}\n${known.filter((n) => text.includes(String(n)))}`;
}

/** What the agent did for this answer: `seen` is { searching, documents, passages }. */
function drawActivity(node, seen, waiting, run) {
  let text = null;
  if (seen?.searching) text = t("activity.searching");
  else if (seen?.passages) {
    text = t("activity.searched", { documents: count("documents", seen.documents), passages: count("passages", seen.passages) });
  } else if (seen?.searched) text = t("activity.nothing");
  else if (waiting) text = run?.status === "queued" ? t("activity.queued") : t("activity.thinking");
  node.hidden = text === null;
  if (node.textContent !== text) node.replaceChildren(icon("search"), element("span", {}, text ?? ""));
}

/** Why an answer is not whole, in words for people, and the way on. */
function drawNotice(node, message, run, actions) {
  const stopped = message.status === "interrupted";
  const failed = message.status === "failed";
  node.hidden = !stopped && !failed;
  if (node.hidden || node.dataset.for === run?.id) return;
  node.dataset.for = run?.id ?? "";
  const cost = money(message.cost ?? run?.cost ?? "0", run?.currency);
  const reason = stopped ? t("stopped.text") : tryText(`failed.${run?.error?.code}`) ?? run?.error?.detail ?? t("failed.unknown");
  node.classList.toggle("failed", failed);
  node.replaceChildren(
    element("p", {}, failed && icon("warning"), reason, " ", t("stopped.cost", { cost })),
    failed && run ? element("button", { type: "button", class: "quiet", onclick: () => actions.retry(run) }, t("retry")) : "",
  );
}

function drawFacts(node, message, run, actions) {
  const { usage, cost, citations, status } = message;
  const ended = status !== "streaming";
  node.hidden = !ended || status === "failed";
  if (node.hidden) return;
  const tokens = usage ? usage.input_tokens + usage.output_tokens : 0;
  const thumb = (name, rating) =>
    iconButton(name, t(`feedback.${name}`), () => actions.rate(message, rating), {
      "aria-pressed": String((message.feedback?.rating ?? message.feedback ?? 0) === rating),
    });
  node.replaceChildren(
    citations.length ? element("span", {}, count("sources", citations.length)) : "",
    tokens ? element("span", {}, count("tokens", tokens)) : "",
    element("span", { class: "cost" }, money(cost ?? "0", run?.currency)),
    run?.started_at && run?.finished_at ? element("span", {}, duration(new Date(run.finished_at) - new Date(run.started_at))) : "",
    element("span", { class: "thumbs" }, thumb("up", 1), thumb("down", -1)),
  );
}
