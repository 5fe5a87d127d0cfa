// The conversation: its messages, asking, the answer as it streams, stopping, trying again, exporting.

import { announce, sentenceReader } from "./announce.js";
import { ENDS, activity, apply } from "./answer.js";
import { get, getAll, post, put, randomKey } from "./api.js";
import { titleOf } from "./conversations.js";
import { element, find, media } from "./dom.js";
import { t } from "./i18n.js";
import { createMessageView, textOf } from "./message.js";
import { problemText, toast } from "./problems.js";
import { follow } from "./stream.js";

const SLOW = 12; // Milliseconds: most of a frame.
const REST = 4; // Times as long as a slow drawing took, until the next.

export function createChat({ agent, onCite, onStarted, onEnded, onCreated }) {
  const log = find("#messages");
  const scroller = find("#scroller");
  const empty = find("#empty");
  const newest = find("#newest");
  const failure = find("#chat-error");
  const reconnecting = find("#reconnecting");
  let conversation = null;
  let entries = []; // Messages in their order: { message, view }.
  let following = null; // { run: its id, controller } of the answer that is being written.
  let opened = false; // Something is on show, be it the beginning of a new conversation.
  let visit = 0; // Counts conversations opened, so that a slow answer is not shown in the wrong one.

  newest.addEventListener("click", () => scrollDown({ force: true }));
  scroller.addEventListener("scroll", () => (newest.hidden = atBottom()));
  log.addEventListener("keydown", walkCitations);
  find("#question").addEventListener("input", () => (failure.textContent = ""));

  // Opening -----------------------------------------------------------------------------------------------------------

  /** Show a conversation, and go on with its answer if one is being written; null is a new one. */
  async function open(id) {
    leave();
    const mine = (visit += 1);
    opened = true;
    if (id === null) return show(null, []);
    const path = `/api/v1/conversations/${id}`;
    const [found, messages] = await Promise.all([get(path), getAll(`${path}/messages?limit=200`)]);
    if (mine !== visit) return;
    show(found, messages);
    // Reloaded in the middle of an answer: its run goes on, and so does this page.
    const answer = entries.find(({ message }) => message.run && message.run === found.active_run);
    if (answer) watch(answer);
  }

  function show(found, messages) {
    conversation = found;
    entries = [];
    log.replaceChildren();
    failure.textContent = "";
    for (const message of messages) add(message);
    drawState();
    scrollDown({ force: true });
  }

  /** Stop following, as the person goes elsewhere; the run goes on. */
  function leave() {
    opened = false;
    visit += 1;
    following?.controller.abort();
    following = null;
    reconnecting.hidden = true;
  }

  // Drawing -----------------------------------------------------------------------------------------------------------

  function add(message) {
    const view = createMessageView(message, { cite: onCite, rate, retry });
    const entry = { message, view };
    entries.push(entry);
    log.append(view.root);
    draw(entry);
    return entry;
  }

  function draw({ message, view }) {
    view.update(message, message.role === "user" ? null : activity(message));
  }

  function drawState() {
    empty.hidden = entries.length > 0;
    find("#export").hidden = entries.length === 0;
    find("#stop").hidden = following === null;
    find("#send").hidden = following !== null;
    find("#app").classList.toggle("fresh", entries.length === 0);
    document.title = conversation ? `${titleOf(conversation)} – Orquestra` : "Orquestra";
  }

  const atBottom = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;

  function scrollDown({ force = false } = {}) {
    if (force || atBottom()) scroller.scrollTop = scroller.scrollHeight;
    newest.hidden = atBottom();
  }

  /** Bring a message into view and mark it for a moment: an address may name it. */
  function reveal(id) {
    const root = entries.find(({ message }) => message.id === id)?.view.root;
    if (!root) return;
    root.scrollIntoView({ block: "start", behavior: media.still.matches ? "auto" : "smooth" });
    root.focus({ preventScroll: true });
    for (const other of log.querySelectorAll(".named")) other.classList.remove("named");
    root.classList.add("named");
  }

  const newestAnswer = () => [...log.querySelectorAll(".message.assistant")].at(-1);

  // Asking ------------------------------------------------------------------------------------------------------------

  /** Ask. Resolves to false, with the reason on show, if it could not be asked: the text is then still the person's. */
  async function send(text) {
    if (following) return false;
    failure.textContent = "";
    const key = randomKey();
    const mine = visit;
    const now = new Date().toISOString();
    const placeholder = { citations: [], run: null, created_at: now };
    const pair = [
      add({ ...placeholder, id: `new-${key}`, role: "user", status: "complete", parts: [{ type: "text", text }] }),
      add({ ...placeholder, id: `answer-${key}`, role: "assistant", status: "streaming", parts: [] }),
    ];
    drawState();
    scrollDown({ force: true });
    try {
      const run = await start(text, key);
      if (mine !== visit) return true;
      pair[0].message.id = run.input_message;
      Object.assign(pair[1].message, { id: run.output_message, run: run.id });
      watch(pair[1]);
      return true;
    } catch (error) {
      if (mine !== visit) return false;
      for (const entry of pair) entry.view.root.remove();
      entries = entries.filter((entry) => !pair.includes(entry));
      drawState();
      if (error.code === "conversation_busy") await open(conversation.id); // Another tab asked: show its answer.
      failure.textContent = problemText(error); // The last: opening takes away what was said before.
      return false;
    }
  }

  /** The run that answers. The first question begins the conversation too, in one request: both exist or neither. */
  async function start(text, key) {
    if (conversation) return post(`/api/v1/conversations/${conversation.id}/runs`, { input: text }, key);
    const mine = visit;
    const { run, ...created } = await post("/api/v1/conversations", { agent: agent().id, input: text }, key);
    if (mine === visit) {
      conversation = created;
      onCreated(created);
    }
    return run;
  }

  /** Follow the run of an answer from its first event; the answer is built anew from them: no word missing or doubled. */
  async function watch(entry) {
    const controller = new AbortController();
    const { run } = entry.message;
    following = { run, controller };
    entry.message = { ...entry.message, parts: [], citations: [], status: "streaming" };
    const reader = sentenceReader();
    let scheduled = false;
    let taken = 0; // Milliseconds that the last drawing took.
    const redraw = () => {
      const started = performance.now();
      scheduled = false;
      const stay = atBottom();
      draw(entry);
      reader.grow(textOf(entry.message));
      if (stay) scrollDown({ force: true });
      else newest.hidden = false;
      taken = performance.now() - started;
    };
    // Once per frame is as often as anyone sees; a hidden tab draws when it is looked at again. What takes long to draw
    // (a table of thousands of rows is one block) is drawn less often, so that the page has time for the reader.
    const schedule = () => {
      if (scheduled) return;
      scheduled = true;
      if (taken < SLOW) requestAnimationFrame(redraw);
      else setTimeout(() => requestAnimationFrame(redraw), REST * taken);
    };
    onStarted();
    drawState();
    try {
      await follow(`/api/v1/runs/${run}/events`, {
        signal: controller.signal,
        ends: ({ event }) => ENDS.has(event),
        onConnection: (connected) => (reconnecting.hidden = connected),
        onEvent: ({ event, data }) => {
          entry.message = apply(entry.message, event, data);
          schedule();
        },
      });
    } catch (error) {
      toast(problemText(error));
    }
    if (controller.signal.aborted) return;
    following = null;
    reconnecting.hidden = true;
    failure.textContent = ""; // Whoever had to wait may ask now.
    redraw();
    drawState();
    reader.finish();
    const { message, view } = entry;
    announce(message.status === "complete" ? t("answer.finished") : find(".notice p", view.root)?.textContent ?? "");
    onEnded(message, view.root);
  }

  function askToWait() {
    failure.textContent = t("answer.wait");
  }

  async function stop() {
    if (!following) return;
    try {
      await post(`/api/v1/runs/${following.run}/cancel`);
    } catch (error) {
      if (error.status !== 409) toast(problemText(error)); // 409: it ended by itself just now.
    }
  }

  async function retry({ run }) {
    failure.textContent = "";
    try {
      await post(`/api/v1/runs/${run}/retry`);
      await open(conversation.id);
    } catch (error) {
      failure.textContent = problemText(error);
    }
  }

  async function rate(message, rating) {
    try {
      await put(`/api/v1/messages/${message.id}/feedback`, { rating });
      const entry = entries.find((candidate) => candidate.message.id === message.id);
      entry.message = { ...entry.message, feedback: { rating } };
      draw(entry);
    } catch (error) {
      toast(problemText(error));
    }
  }

  // Left and right go through the citations, wherever they are in the conversation.
  function walkCitations(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !event.target.classList.contains("cite")) return;
    event.preventDefault();
    const all = [...log.querySelectorAll(".cite")];
    const next = all[all.indexOf(event.target) + step];
    next?.focus();
    next?.scrollIntoView({ block: "nearest", behavior: media.still.matches ? "auto" : "smooth" });
    if (next && !media.sheet.matches) next.click();
  }

  /** The conversation as a Markdown file, sources as notes under each answer. */
  function save() {
    const text = entries.map(({ message }) => asMarkdown(message)).join("\n\n");
    const url = URL.createObjectURL(new Blob([`# ${titleOf(conversation)}\n\n${text}\n`], { type: "text/markdown" }));
    element("a", { href: url, download: `${titleOf(conversation).replace(/[^\p{L}\p{N} ._-]/gu, "").slice(0, 80)}.md` }).click();
    URL.revokeObjectURL(url);
  }

  return { open, send, stop, save, askToWait, reveal, newestAnswer, isOpen: () => opened, isAnswering: () => following !== null, current: () => conversation, leave };
}

function asMarkdown(message) {
  const who = `**${t(message.role === "user" ? "message.yours" : "message.theirs")}**`;
  const sources = message.citations.map(
    ({ n, document_name: name, page_from: page, quote }) => `- [${n}] ${name}${page ? `, ${page}` : ""}: “${quote.replace(/\s+/g, " ")}”`,
  );
  return [who, textOf(message), ...(sources.length ? [sources.join("\n")] : [])].join("\n\n");
}
