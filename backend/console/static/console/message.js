// One message of a conversation as an element that is brought up to date while the answer grows.

import { hasPlaces, withTokens } from "./citations.js";
import { withCopyButtons } from "./copying.js";
import { element, icon } from "./dom.js";
import { replaceKeepingFocus } from "./focus.js";
import { drawFacts, drawTurns } from "./facts.js";
import { count, money, t, tryText } from "./i18n.js";
import { blockReader, render } from "./markdown.js";
import { textOf } from "./parts.js";
import { createQuestion } from "./question.js";

const LONGEST_LABEL = 120; // Characters of a quote in the name of a citation.

/**
 * `actions`: cite(citation, button), rate(message, rating), retry(message), regenerate(message), edit(message, text),
 * turn(message, step). `update(message, context)` may be called as often as something changes; it touches only what
 * differs. The context: { activity: from answer.js, place, places: of this message among those of other branches,
 * busy: nothing can be asked now }.
 */
export function createMessageView(message, actions) {
  return message.role === "user" ? userView(message, actions) : assistantView(message, actions);
}

function userView(first, actions) {
  const question = createQuestion({ onAsk: (text) => actions.edit(message, text) });
  const footer = element("footer", { class: "beneath", hidden: true });
  const root = element("article", { class: "message user", tabindex: "-1", "aria-label": t("message.yours") }, question.root, footer);
  let message = first;
  const update = (changed, context) => {
    message = changed;
    question.update(textOf(message));
    const asked = !message.id.startsWith("new-");
    footer.hidden = !asked;
    drawTurns(footer, message, context ?? {}, actions, asked && !context?.busy && question.editButton);
  };
  return { root, update };
}

function assistantView(first, actions) {
  let message = first;
  const activity = element("p", { class: "activity", hidden: true });
  const knowledge = element("p", { class: "known", role: "status", hidden: true });
  const body = element("div", { class: "answer" });
  const notice = element("div", { class: "notice", hidden: true });
  const footer = element("footer", { class: "facts", hidden: true });
  const root = element("article", { class: "message assistant", tabindex: "-1", "aria-label": t("message.theirs") }, knowledge, activity, body, notice, footer);
  const read = blockReader();
  let drawn = []; // What stands in the body, block by block: { key, node }.
  let sources = ""; // The citations that there were when it was drawn.
  let placed = false; // Each citation has its place; else the number in the text finds it.

  const cite = (n, index) => {
    const found = index === undefined ? !placed && message.citations.find((candidate) => candidate.n === n) : message.citations[index];
    if (!found) return null;
    const place = t(found.page_from ? "citation.page" : "citation.text", { n: found.n, document: found.document_name, page: found.page_from });
    const label = found.quote ? t("citation.quoted", { label: place, quote: shortened(found.quote) }) : place;
    const at = message.citations.indexOf(found);
    return element("button", { type: "button", class: "cite", "data-n": found.n, "data-at": at, "aria-label": label, title: label }, String(found.n));
  };
  body.addEventListener("click", ({ target }) => {
    const button = target.closest(".cite");
    if (button) actions.cite(message.citations[Number(button.dataset.at)], button);
  });

  // A long answer is drawn block by block, and only the blocks that changed: the work per token stays small.
  function drawBody(streaming) {
    placed = hasPlaces(message);
    const { text, markers } = withTokens(message);
    cite.markers = markers;
    const known = placed ? [] : message.citations.map(({ n }) => n);
    const { blocks, kept } = read(text);
    let same = String(known) === sources ? Math.min(kept, drawn.length) : 0;
    sources = String(known);
    while (same < drawn.length && same < blocks.length && drawn[same].key === keyOf(blocks[same], known)) same += 1;
    for (const { node } of drawn.splice(same)) node.remove();
    for (const block of blocks.slice(same)) {
      const node = withCopyButtons(render(block, cite));
      body.append(node);
      drawn.push({ key: keyOf(block, known), node });
    }
    body.classList.toggle("streaming", streaming);
    body.hidden = drawn.length === 0 && !streaming;
  }

  function update(changed, context) {
    message = changed;
    const streaming = message.status === "streaming";
    drawBody(streaming);
    drawKnowledge(knowledge, message, context?.unread ?? []);
    drawActivity(activity, context?.activity, message.knowledge, streaming && drawn.length === 0 && knowledge.hidden);
    drawNotice(notice, message, context ?? {}, actions);
    drawFacts(footer, message, context ?? {}, actions, showSources);
    root.setAttribute("aria-busy", String(streaming));
  }

  const showSources = () => {
    const button = body.querySelector(".cite");
    if (button) button.click();
    else actions.cite(message.citations[0], root);
  };

  return { root, update };
}

/** As much of a quote as distinguishes it from others of its page. */
function shortened(quote) {
  const characters = Array.from(quote.replace(/\s+/g, " ").trim());
  return characters.length > LONGEST_LABEL ? `${characters.slice(0, LONGEST_LABEL).join("")}…` : characters.join("");
}

// A block looks different when its text does, or when one of its numbers has become a source.
function keyOf({ kind, lines }, known) {
  const text = lines.join("\n");
  return `${kind}\n${text}\n${known.filter((n) => text.includes(String(n)))}`;
}

/** What the agent did for this answer; `seen` comes from activity() of answer.js. */
function drawActivity(node, seen, known, waiting) {
  let text = null;
  if (seen?.searching) text = t("activity.searching");
  else if (seen?.passages) {
    const [passages, all] = [count("passages", seen.passages), Math.max(known?.total ?? 0, seen.documents)];
    // All were searched; that few have something about it shall not read as if the others had been left out.
    text = t(all > seen.documents ? "activity.foundIn" : "activity.found", { passages, found: seen.documents, documents: count("documents", all) });
  } else if (seen?.searched) text = t("activity.nothing");
  else if (waiting) text = t("activity.thinking");
  setLine(node, "search", text);
}

/** Which files the question waits for; then how much of what the agent knows could be read, where that was not everything. */
function drawKnowledge(node, { knowledge, status, uploading, missing }, unread) {
  if (uploading?.length) return setLine(node, "upload", t("knowledge.uploading", { names: quoted(uploading) }));
  let text = missing?.length ? t("knowledge.missing", { names: quoted(missing) }) : null;
  const { total, ready, failed = 0, waiting = true } = knowledge ?? { total: 0, ready: 0 };
  if (ready < total) {
    const still = status === "streaming" && waiting && ready + failed < total;
    const state = t(still ? "knowledge.waiting" : "knowledge.partly", { ready, documents: count("documents", total) });
    text = text ? `${text} ${state}` : state;
    if (failed && failed === unread.length) text += ` ${t("knowledge.failed", { names: quoted(unread) })}`;
    else if (failed) text += ` ${count("failed", failed)}`;
  }
  setLine(node, "document", text);
}

const quoted = (names) => names.map((name) => `“${name}”`).join(", ");

function setLine(node, picture, text) {
  node.hidden = text === null;
  if (node.textContent !== text) node.replaceChildren(icon(picture), element("span", {}, text ?? ""));
}

/** Why an answer is not whole, in words for people, what it cost, and the way on. */
function drawNotice(node, message, { busy }, actions) {
  const { status, error, cost, currency } = message;
  const failed = status === "failed";
  const ended = failed || status === "interrupted";
  const incomplete = status === "complete" ? incompleteness(message) : null;
  node.hidden = !ended && incomplete === null;
  node.classList.toggle("failed", failed);
  if (node.hidden) return;
  const retry = () => element("button", { type: "button", class: "quiet", onclick: () => actions.retry(message) }, t("retry"));
  const reason = failed ? tryText(`failed.${error?.code}`) ?? t("failed.unknown") : t("stopped.text");
  replaceKeepingFocus(
    node,
    ended
      ? element("p", {}, failed && icon("warning"), reason, " ", t("stopped.cost", { cost: money(cost, currency) }))
      : element("p", {}, icon("warning"), incomplete),
    ended && !busy ? retry() : "",
  );
}

/** What a complete answer still lacks: the model was cut off, or returned no text. */
function incompleteness({ parts, finish_reason: reason }) {
  const hasText = parts.some(({ type, text }) => type === "text" && text.trim());
  if (reason === "length") return t(hasText ? "cut.text" : "cut.empty");
  return hasText ? null : t("empty.text");
}
