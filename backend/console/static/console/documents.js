// Documents: the list with its live progress, uploads into it, deleting. The library (library.js) shows them at length.

import { get, remove, signedIn } from "./api.js";
import { announce } from "./announce.js";
import { ENDED, createState, whyFailed } from "./document.js";
import { confirmed, element, find, icon, iconButton, middleCut } from "./dom.js";
import { t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { askWhere, createQueue } from "./uploads.js";

const POLL_MS = 1000;
const SLOW_POLL_MS = 5000; // After a minute without any change.
const SEARCHABLE_FROM = 12; // A list this long gets a field to search it.

/**
 * `agents()` and `agent()` are all agents and the one that is talked to; `knowing(document)` are those that know it.
 * `onOpen(document, button)` and `onTell(document)` show a document, and what became of one that has no pages to show.
 */
export function createDocuments({ agents, agent, knowing, onOpen, onTell, onUploaded, onEnded, onDeleted }) {
  const section = find("#documents");
  const list = find("ul", section);
  const filter = find("input[type=search]", section);
  const more = find(".more", section);
  const picker = find("#file");
  const known = new Map(); // The newest state of every document that is on show anywhere, by id.
  const rows = new Map(); // Of the list, by id.
  const listeners = new Set(); // Called with (id, document), and with (id, null) for one that is gone.
  const begun = new Map(); // When a document in progress was first seen, by id.
  let uploads = []; // The rows of files that are being sent.
  const arrivals = new Set(); // Files that are sent or become known to their agent: { name, agent, collection, end }.
  let next = null;
  const queue = createQueue();

  find("#document-add").append(icon("plus"));
  for (const button of document.querySelectorAll("#document-add, #attach, #drop")) button.addEventListener("click", () => picker.click());
  picker.addEventListener("change", () => {
    upload([...picker.files]);
    picker.value = "";
  });
  more.addEventListener("click", async () => take(await get(next)));
  let typing;
  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(refresh, 250);
  });

  // The list ----------------------------------------------------------------------------------------------------------

  async function refresh() {
    const query = filter.value.trim();
    const page = await get(`/api/v1/documents${query ? `?q=${encodeURIComponent(query)}` : ""}`);
    if (!listeners.size) known.clear();
    for (const row of rows.values()) row.root.remove();
    rows.clear();
    take(page);
    filter.hidden = !query && rows.size < SEARCHABLE_FROM;
  }

  function take(page) {
    for (const one of page.results) {
      addRow(one, "append");
      put(one);
    }
    next = page.next;
    more.hidden = next === null;
    drawEmptiness();
    watch();
  }

  function addRow(one, how) {
    if (rows.has(one.id)) return;
    const row = createRow(one, { onOpen: (now, button) => (now.status === "ready" ? onOpen(now, button) : onTell(now)), onDelete });
    rows.set(one.id, row);
    list[how](row.root);
  }

  /** Take the newest state of a document, show it wherever it is on show, and say so when it has ended. */
  function put(one) {
    const before = known.get(one.id);
    if (one.status === "deleting") return drop(one.id);
    if (!ENDED.has(one.status) && !begun.has(one.id)) begun.set(one.id, Date.now());
    known.set(one.id, one);
    rows.get(one.id)?.update(one, before && !ENDED.has(before.status) && begun.has(one.id) ? Date.now() - begun.get(one.id) : null);
    for (const listener of listeners) listener(one.id, one);
    drawEmptiness();
    if (before && !ENDED.has(before.status) && ENDED.has(one.status)) ended(one);
  }

  // What has to be found again is in the list and in the library; this is only the news.
  function ended(one) {
    if (one.status === "ready") announce(t("document.readyNews", { name: one.name }));
    if (one.status === "failed") toast(t("document.failedNews", { name: one.name, detail: whyFailed(one) }));
    if (one.warnings.length) toast(t("document.warningNews", { name: one.name }));
    onEnded(one);
  }

  function drop(id) {
    rows.get(id)?.root.remove();
    rows.delete(id);
    known.delete(id);
    for (const listener of listeners) listener(id, null);
    drawEmptiness();
  }

  const drawEmptiness = () => (find(".none", section).hidden = rows.size + uploads.length > 0 || filter.value !== "");

  /** Ask, with what it means for agents and answers, and delete. Resolves to whether it was done. */
  async function onDelete(one) {
    const names = knowing(one).map(({ name }) => `“${name}”`).join(", ");
    const consequence = names ? t("document.deleteLoses", { names }) : t("document.deleteUnknown");
    const question = [t("document.deleteAsk", { name: one.name }), consequence, t("document.deleteAnswers")].join(" ");
    if (!(await confirmed(question, { yes: t("delete"), no: t("keep") }))) return false;
    try {
      await remove(`/api/v1/documents/${one.id}`);
    } catch (error) {
      toast(problemText(error));
      return false;
    }
    drop(one.id);
    onDeleted(one);
    return true;
  }

  // Progress ----------------------------------------------------------------------------------------------------------
  // Each document has an event stream too, but a browser opens six connections to a server, over all tabs: one stream
  // per document in progress would leave none for the answers. So what is in progress is asked for, a few at a time.

  let watching = false;

  async function watch() {
    if (watching) return;
    watching = true;
    let changedAt = Date.now();
    for (;;) {
      const pending = [...known.values()].filter(({ status }) => !ENDED.has(status));
      if (!pending.length) break;
      const quiet = Date.now() - changedAt > 60_000 || document.hidden;
      await new Promise((resolve) => setTimeout(resolve, quiet ? SLOW_POLL_MS : POLL_MS));
      for (const now of await latest(pending)) {
        const before = known.get(now.id);
        if (!before) continue;
        if (now.status !== before.status || now.progress?.pages_done !== before.progress?.pages_done) changedAt = Date.now();
        put(now);
      }
      if (!signedIn()) break;
    }
    watching = false;
  }

  /** The documents as they are now: a few one by one, many with one request for the newest. */
  async function latest(pending) {
    if (pending.length > 4) return (await get("/api/v1/documents?limit=200").catch(() => ({ results: [] }))).results;
    const asked = pending.map(({ id }) =>
      get(`/api/v1/documents/${id}`).catch((error) => {
        if (error.status === 404) drop(id);
        return null;
      }),
    );
    return (await Promise.all(asked)).filter(Boolean);
  }

  // Uploading ---------------------------------------------------------------------------------------------------------

  /** Ask where files go, and send them there. `collection` is the one that the person is looking at. */
  async function upload(files, { collection = null } = {}) {
    if (!files.length) return;
    try {
      const where = await askWhere(files, { agents: agents(), agent: collection ? null : (agent()?.id ?? null), collection });
      if (where) queue(files.map((file) => job(file, where)));
    } catch (error) {
      toast(problemText(error));
    }
    drawEmptiness();
  }

  function job(file, where) {
    const row = createUploadRow(file.name);
    list.prepend(row.root);
    uploads.push(row);
    const arrival = { name: file.name, ...where };
    arrival.end = new Promise((resolve) => {
      arrival.finish = (failed) => {
        arrivals.delete(arrival);
        resolve({ name: file.name, failed });
      };
    });
    arrivals.add(arrival);
    const settle = () => {
      row.root.remove();
      uploads = uploads.filter((other) => other !== row);
      drawEmptiness();
    };
    return {
      file,
      collection: where.collection,
      onProgress: row.progress,
      onDone: ({ created, body }) => {
        if (!created) toast(t("document.already", { name: body.name }));
        settle();
        addRow(body, "prepend");
        put(body);
        onUploaded(body, where.agent).then((known) => arrival.finish(!known));
        watch();
      },
      onFailed: (error) => {
        settle();
        arrival.finish(true);
        toast(problemText(error, { name: file.name }));
      },
    };
  }

  return {
    refresh,
    upload,
    all: () => [...known.values()],
    put,
    remove: onDelete,
    /** The files on their way to what an agent knows: { name, end: resolves to { name, failed } and never rejects }. */
    arriving: ({ id, knowledge }) =>
      [...arrivals].filter(({ agent, collection }) => agent === id || (collection && knowledge.some((entry) => entry.collection === collection))),
    /** Keep documents that are on show elsewhere up to date; returns how to stop. */
    follow: (shown, listener) => {
      for (const one of shown) known.set(one.id, one);
      listeners.add(listener);
      watch();
      return () => listeners.delete(listener);
    },
  };
}

function createRow(one, { onOpen, onDelete }) {
  let current = one;
  const name = element("span", { class: "name" });
  const { badge, bar, update: draw } = createState();
  const button = element("button", { type: "button", class: "item", onclick: () => onOpen(current, button) }, name, badge, bar);
  const bin = iconButton("trash", t("document.delete", { name: one.name }), () => onDelete(current));
  const root = element("li", {}, button, bin);
  const update = (document, took = null) => {
    current = document;
    if (name.textContent !== document.name) name.replaceChildren(middleCut(document.name));
    root.classList.toggle("working", draw(document, took));
  };
  return { root, update };
}

function createUploadRow(name) {
  const percent = (part) => t("status.uploading", { percent: `${Math.floor(part * 100)} %` });
  const badge = element("span", { class: "badge-status working" }, percent(0));
  const fill = element("span");
  const bar = element("span", { class: "bar-progress" }, fill);
  const root = element("li", { class: "working" }, element("span", { class: "item" }, element("span", { class: "name" }, middleCut(name)), badge, bar));
  const progress = (part) => {
    badge.textContent = percent(part);
    fill.style.width = `${part * 100}%`;
  };
  return { root, progress };
}
