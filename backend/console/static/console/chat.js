// The conversation: its messages, asking, the answer as it streams, stopping, trying again.

import { announce, sentenceReader } from "./announce.js";
import { ENDS, activity, apply, namedBy } from "./answer.js";
import { get, getAll, patch, post, postForStream, put, randomKey } from "./api.js";
import { alternatives, newestThrough, pathTo, placeholders } from "./branches.js";
import { titleOf } from "./conversations.js";
import { find, media } from "./dom.js";
import { createTail, paced, walkCitations } from "./drawing.js";
import { keepingFocus, turnButton } from "./focus.js";
import { t } from "./i18n.js";
import { createMessageView } from "./message.js";
import { textOf } from "./parts.js";
import { problemText, toast } from "./problems.js";
import { saveConversation } from "./saving.js";
import { follow } from "./stream.js";

/**
 * `onFirstSource(message, root)` is called when an answer that is being written cites something for the first time;
 * `onShown(message, root)` when a conversation was opened, or another branch of it, with its newest answer.
 * `unread()` gives the names of the documents that the agent knows and that could not be read; `arriving()` the files that
 * are on their way to what it knows: { name, end: resolves to { name, failed } }.
 */
export function createChat({ agent, unread, arriving, onCite, onCreated, onEnded, onFirstSource, onShown }) {
  const log = find("#messages");
  const tail = createTail(find("#scroller"), find("#newest"));
  const empty = find("#empty");
  const failure = find("#chat-error");
  const reconnecting = find("#reconnecting");
  let conversation = null;
  let messages = []; // All of them, those of other branches too, oldest first.
  let entries = []; // Those on show, in their order: { message, view }.
  let sending = null; // { stopped, stop() } while a question waits for uploads or is on its way to the server.
  let following = null; // { run: its id, controller } of the answer that is being written.
  let opened = false; // Something is on show, be it the beginning of a new conversation.
  let visit = 0; // Counts conversations opened, so that a slow answer is not shown in the wrong one.

  walkCitations(log);
  find("#question").addEventListener("input", () => (failure.textContent = ""));

  const isBusy = () => sending !== null || following !== null;

  // Opening -----------------------------------------------------------------------------------------------------------

  /** Show a conversation, and go on with its answer if one is being written; null is a new one. */
  async function open(id) {
    leave();
    const mine = visit;
    opened = true;
    if (id === null) return fill(null, []);
    const path = `/api/v1/conversations/${id}`;
    const [found, all] = await Promise.all([get(path), getAll(`${path}/messages?branch=all&limit=200`)]);
    if (mine !== visit) return;
    fill(found, all);
    // Reloaded in the middle of an answer: its run goes on, and so does this page.
    const answer = found.active_run && messages.find(({ run }) => run === found.active_run);
    if (answer) {
      show(answer.id);
      watch(answer.id);
    }
    else tellShown();
  }

  /** Say which answer is the newest on show. */
  function tellShown() {
    const newest = entries.findLast(({ message }) => message.role === "assistant");
    if (newest) onShown(newest.message, newest.view.root);
  }

  function fill(found, all) {
    conversation = found;
    messages = all;
    failure.textContent = "";
    for (const { view } of entries) view.root.remove();
    entries = [];
    show(found?.head ?? null);
    tail.toEnd();
  }

  /** Stop following, as the person goes elsewhere; the run goes on. */
  function leave() {
    opened = false;
    visit += 1;
    following?.controller.abort();
    sending?.stop();
    following = sending = null;
    reconnecting.hidden = true;
  }

  /** Bring a message into view and mark it: an address may name it. */
  function reveal(id) {
    const message = messages.find((candidate) => candidate.id === id);
    if (!message) return;
    if (!entryOf(id) && !isBusy()) show(newestThrough(messages, message));
    const root = entryOf(id)?.view.root;
    if (!root) return;
    root.scrollIntoView({ block: "start", behavior: media.still.matches ? "auto" : "smooth" });
    root.focus({ preventScroll: true });
    for (const other of log.querySelectorAll(".named")) other.classList.remove("named");
    root.classList.add("named");
  }

  // Drawing -----------------------------------------------------------------------------------------------------------

  const entryOf = (id) => entries.find(({ message }) => message.id === id);

  const actions = { cite: onCite, rate, retry, regenerate, edit, turn };

  /** Show the branch that ends with the message `leaf`; what is on show and belongs to it stays. */
  const show = (leaf, focus = fallback) => keepingFocus(() => branchTo(leaf), focus);

  function branchTo(leaf) {
    const path = pathTo(messages, leaf);
    const shared = entries.findIndex(({ message }, index) => message.id !== path[index]?.id);
    for (const { view } of entries.splice(shared < 0 ? entries.length : shared)) view.root.remove();
    for (const message of path.slice(entries.length)) {
      const view = createMessageView(message, actions);
      entries.push({ message, view });
      log.append(view.root);
    }
    redrawn();
  }

  /** Draw all, and keep the end in sight: what an answer gets when it ends may need more lines. */
  const drawAll = () => tail.around(() => keepingFocus(redrawn, fallback));

  /** What takes the focus when the control that had it has gone: the question, but on a phone that brings up its keyboard. */
  const fallback = () => (media.phone.matches ? entries.at(-1)?.view.root : null) ?? find("#question");

  function redrawn() {
    for (const entry of entries) draw(entry);
    empty.hidden = entries.length > 0;
    find("#export").hidden = entries.length === 0;
    find("#stop").hidden = !isBusy();
    drawHurry();
    find("#send").hidden = isBusy();
    find("#app").classList.toggle("fresh", entries.length === 0);
    drawTitle();
  }

  function draw({ message, view }) {
    const others = alternatives(messages, message);
    view.update(message, {
      activity: message.role === "user" ? null : activity(message),
      place: others.indexOf(message) + 1,
      places: others.length,
      busy: isBusy(),
      unread: unread(),
    });
  }

  /** A question that waits for documents can be answered from those that are ready. */
  function drawHurry() {
    const { knowledge } = (following && entryOf(following.answer)?.message) ?? {};
    const waits = knowledge?.waiting && knowledge.ready > 0 && knowledge.ready + knowledge.failed < knowledge.total;
    find("#answer-now").hidden = !waits || following.hurried;
  }

  const drawTitle = () => (document.title = conversation ? `${titleOf(conversation)} – Orquestra` : "Orquestra");

  /** Put a message's new state in the place of the one before. */
  function become(entry, message) {
    const at = messages.indexOf(entry.message);
    if (at >= 0) messages[at] = message;
    entry.message = message;
  }

  // Asking ------------------------------------------------------------------------------------------------------------

  /** Ask. Resolves to false, with the reason on show, if it could not be asked: the text is then still the person's. */
  const send = (text) => ask({ text, parent: entries.at(-1)?.message.id ?? null, body: { input: text } });

  /** Ask in other words; the question before stays, on a branch of its own. */
  function edit(message, text) {
    return ask({ text, parent: message.parent, body: { input: text, edit_of: message.id } });
  }

  /** Have a question answered anew; the answer before stays. */
  function regenerate(message) {
    return ask({ parent: message.parent, body: { regenerate_of: message.id } });
  }

  function retry(message) {
    return ask({ parent: message.parent, path: `/api/v1/runs/${message.run}/retry`, body: {} });
  }

  /**
   * Ask the server for an answer. The question (if it is new: `text`) and an empty answer are on show at once; they take
   * their ids from the run, or go away if the server refuses. What the agent knows may still be on its way: unless
   * `waits` is false the answer waits for it, and the page says how far it is.
   */
  async function ask({ text, parent, path, body, waits = true }) {
    if (isBusy()) return askToWait();
    const mine = visit;
    const key = randomKey();
    const leaf = entries.at(-1)?.message.id ?? null;
    const added = placeholders({ key, text, parent });
    const [answer, question] = added.slice().reverse();
    const request = (sending = { stopped: false });
    const stopped = new Promise((resolve) => (request.stop = resolve));
    failure.textContent = "";
    messages.push(...added);
    show(answer.id);
    tail.toEnd();
    const takeBack = () => {
      sending = null;
      messages = messages.filter(({ id }) => !added.some((one) => one.id === id));
      show(leaf);
      return false;
    };
    try {
      const missing = waits ? await Promise.race([arrived(entryOf(answer.id)), stopped]) : [];
      if (mine !== visit) return false;
      if (request.stopped) return takeBack();
      become(entryOf(answer.id), { ...entryOf(answer.id).message, uploading: null, missing });
      draw(entryOf(answer.id));
      const response = await start(path, path ? body : { ...body, wait_for_knowledge: waits }, key);
      if (mine !== visit) {
        response.body.cancel(); // The run goes on.
        return true;
      }
      entryOf(answer.id).message.run = response.headers.get("Orquestra-Run");
      if (!conversation) begun(response.headers.get("Location"));
      sending = null;
      watch(answer.id, { first: response, question });
      if (request.stopped) stop();
      return true;
    } catch (error) {
      if (mine !== visit) return false;
      takeBack();
      if (error.code === "conversation_busy" && conversation) await open(conversation.id); // Another tab asked: show its answer.
      failure.textContent = problemText(error); // The last: opening takes away what was said before.
      return false;
    }
  }

  /**
   * Wait for the files that are on their way to what the agent knows, with their names in the answer's place; files that
   * are added during the wait count too. Returns the names of those that failed.
   */
  async function arrived(entry) {
    const missing = [];
    for (let files = arriving(); files.length; files = arriving()) {
      become(entry, { ...entry.message, uploading: files.map(({ name }) => name) });
      tail.around(() => draw(entry));
      const { name, failed } = await Promise.race(files.map(({ end }) => end));
      if (failed) missing.push(name);
    }
    return missing;
  }

  /**
   * Start the run: the Response is its event stream. The first question begins the conversation too, in one request: both
   * exist or neither.
   */
  function start(path, body, key) {
    if (conversation) return postForStream(path ?? `/api/v1/conversations/${conversation.id}/runs`, body, key);
    return postForStream("/api/v1/conversations", { agent: agent().id, ...body }, key);
  }

  /** The conversation exists now, at `path`; the server gives it a title, which comes with the list. */
  function begun(path) {
    conversation = { id: path.split("/").at(-1), agent: agent().id, title: "" };
    onCreated(conversation);
  }

  /** The question and the answer that are on show take the ids that the server has given them. */
  function take({ asked, answer }, entry, question) {
    const asking = question && entryOf(question.id);
    if (asking) become(asking, { ...asking.message, id: asked });
    become(entry, { ...entry.message, id: answer, parent: asked });
    following.answer = answer;
  }

  /** Go to the message that has the place of this one on the branch before or after. */
  async function turn(message, step) {
    const others = alternatives(messages, message);
    const other = others[others.indexOf(message) + step];
    if (!other || isBusy()) return;
    const head = newestThrough(messages, other);
    show(head, () => turnButton(entryOf(other.id).view.root, step) ?? fallback());
    tellShown();
    entryOf(other.id).view.root.scrollIntoView({ block: "nearest" });
    try {
      conversation = { ...conversation, ...(await patch(`/api/v1/conversations/${conversation.id}`, { head })) }; // The next question goes on from here.
    } catch (error) {
      toast(problemText(error));
    }
  }

  // Following ---------------------------------------------------------------------------------------------------------

  /**
   * Follow the run of an answer from its first event; the answer is built anew from them: no word missing or doubled. If
   * it was asked just now, `first` is the Response that begins the stream, and `question` the new question, if there is one.
   */
  async function watch(id, { first, question } = {}) {
    const entry = entryOf(id);
    const controller = new AbortController();
    const { run } = entry.message;
    const mine = (following = { run, answer: id, controller, hurried: false });
    become(entry, { ...entry.message, parts: [], citations: [], status: "streaming" });
    const reader = sentenceReader();
    let cited = false;
    const redraw = () => {
      tail.around(() => draw(entry));
      keepingFocus(drawHurry, fallback);
      reader.grow(textOf(entry.message));
      if (!cited && entry.message.citations.length) {
        cited = true;
        onFirstSource(entry.message, entry.view.root);
      }
    };
    const schedule = paced(redraw);
    drawAll();
    try {
      await follow(`/api/v1/runs/${run}/events`, {
        first,
        signal: controller.signal,
        ends: ({ event }) => ENDS.has(event),
        onConnection: (connected) => (reconnecting.hidden = connected),
        onEvent: ({ event, data }) => {
          const named = namedBy(event, data);
          if (named && named.answer !== entry.message.id) {
            take(named, entry, question);
            drawAll();
          }
          become(entry, { ...apply(entry.message, event, data), missing: entry.message.missing });
          schedule();
        },
      });
    } catch (error) {
      if (!controller.signal.aborted) toast(problemText(error));
    }
    if (controller.signal.aborted) return;
    following = null;
    reconnecting.hidden = true;
    failure.textContent = ""; // Whoever had to wait may ask now.
    redraw();
    drawAll();
    reader.finish();
    const { message, view } = entry;
    announce(message.status === "complete" ? t("answer.finished") : find(".notice p", view.root)?.textContent ?? "");
    onEnded(message, view.root);
    if (mine.hurried && message.status === "interrupted") await ask({ parent: message.parent, body: { regenerate_of: message.id }, waits: false });
  }

  /** Do not wait for the documents that are still being read: the run that waits ends, another answers its question. */
  async function answerNow() {
    if (!following) return;
    following.hurried = true;
    drawAll();
    await stop();
  }

  function askToWait() {
    failure.textContent = t("answer.wait");
    return false;
  }

  async function stop() {
    if (sending) {
      sending.stopped = true; // Its run has no id yet; it is stopped as soon as it has. While it waits for uploads, nothing was asked.
      sending.stop();
    }
    if (!following) return;
    try {
      await post(`/api/v1/runs/${following.run}/cancel`);
    } catch (error) {
      if (error.status !== 409) toast(problemText(error)); // 409: it ended by itself just now.
    }
  }

  async function rate(message, rating) {
    try {
      await put(`/api/v1/messages/${message.id}/feedback`, { rating });
      const entry = entryOf(message.id);
      if (!entry) return;
      become(entry, { ...entry.message, feedback: { rating } });
      draw(entry);
    } catch (error) {
      toast(problemText(error));
    }
  }

  const save = () => saveConversation(titleOf(conversation), entries.map(({ message }) => message));

  /** The conversation has another title now. */
  function renamed({ id, title }) {
    if (conversation?.id !== id) return;
    conversation = { ...conversation, title };
    drawTitle();
  }

  const newestAnswer = () => [...log.querySelectorAll(".message.assistant")].at(-1);

  return { open, send, stop, answerNow, save, askToWait, reveal, renamed, redraw: drawAll, newestAnswer, isOpen: () => opened, isAnswering: isBusy, current: () => conversation, leave };
}
