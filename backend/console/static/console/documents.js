// Documents: the list with its live progress, dropping and uploading files, deleting.

import { ApiError, accessToken, commonHeaders, get, randomKey, remove, signedIn } from "./api.js";
import { announce } from "./announce.js";
import { confirmed, element, find, icon, iconButton, middleCut } from "./dom.js";
import { duration, t, tryText } from "./i18n.js";
import { problemText, toast } from "./problems.js";

const ENDED = new Set(["ready", "failed", "cancelled"]);
const POLL_MS = 1000;
const SLOW_POLL_MS = 5000; // After a minute without any change.
const SEARCHABLE_FROM = 12; // A list this long gets a field to search it.
const UPLOADS_AT_ONCE = 2;
const TIME_SHOWN_MS = 5000; // How long a document says in what time it became ready.

export function createDocuments({ onOpen, onUploaded, onEnded, onDeleted }) {
  const section = find("#documents");
  const list = find("ul", section);
  const filter = find("input[type=search]", section);
  const more = find(".more", section);
  const picker = find("#file");
  const documents = new Map(); // By id, in the order of the list.
  const rows = new Map();
  const begun = new Map(); // When a document in progress was first seen, by id.
  let uploads = []; // Files on their way: { name, part, row }.
  let next = null;

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
    documents.clear();
    for (const row of rows.values()) row.root.remove();
    rows.clear();
    take(page);
    filter.hidden = !query && documents.size < SEARCHABLE_FROM;
  }

  function take(page) {
    for (const one of page.results) put(one);
    next = page.next;
    more.hidden = next === null;
    drawEmptiness();
    watch();
  }

  /** Take the newest state of a document, and say so when it has ended. */
  function put(one, { first = false } = {}) {
    const before = documents.get(one.id);
    if (one.status === "deleting") return drop(one.id);
    if (!ENDED.has(one.status) && !begun.has(one.id)) begun.set(one.id, Date.now());
    documents.set(one.id, one);
    let row = rows.get(one.id);
    if (!row) {
      row = createRow(one, { onOpen: (now, button) => (now.status === "failed" ? tellWhy(now) : onOpen(now, button)), onDelete });
      rows.set(one.id, row);
      list[first ? "prepend" : "append"](row.root);
    }
    row.update(one, before && begun.has(one.id) ? Date.now() - begun.get(one.id) : null);
    drawEmptiness();
    if (before && !ENDED.has(before.status) && ENDED.has(one.status)) ended(one);
  }

  function ended(one) {
    if (one.status === "ready") announce(t("document.readyNews", { name: one.name }));
    if (one.status === "failed") tellWhy(one);
    if (one.warnings.some(({ code }) => code === "no_text")) toast(t("unread.no_text", { name: one.name }));
    onEnded(one);
  }

  const tellWhy = (one) => toast(t("document.failedNews", { name: one.name, detail: whyFailed(one) }));

  function drop(id) {
    rows.get(id)?.root.remove();
    rows.delete(id);
    documents.delete(id);
    drawEmptiness();
  }

  const drawEmptiness = () => (find(".none", section).hidden = documents.size + uploads.length > 0 || filter.value !== "");

  async function onDelete(one) {
    if (!(await confirmed(t("document.deleteAsk", { name: one.name }), { yes: t("delete"), no: t("keep") }))) return;
    try {
      await remove(`/api/v1/documents/${one.id}`);
      drop(one.id);
      onDeleted(one);
    } catch (error) {
      toast(problemText(error));
    }
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
      const pending = [...documents.values()].filter(({ status }) => !ENDED.has(status));
      if (!pending.length) break;
      const quiet = Date.now() - changedAt > 60_000 || document.hidden;
      await new Promise((resolve) => setTimeout(resolve, quiet ? SLOW_POLL_MS : POLL_MS));
      for (const now of await latest(pending)) {
        const before = documents.get(now.id);
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

  const waiting = [];
  let running = 0;

  function upload(files) {
    for (const file of files) {
      const row = createUploadRow(file.name);
      list.prepend(row.root);
      uploads.push(row);
      waiting.push({ file, row });
    }
    drawEmptiness();
    for (let free = UPLOADS_AT_ONCE - running; free > 0; free -= 1) work();
  }

  async function work() {
    running += 1;
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      const { file, row } = job;
      try {
        const { created, body } = await send(file, row.progress);
        if (!created) toast(t("document.already", { name: body.name }));
        settle(row);
        put(body, { first: true });
        onUploaded(body);
        watch();
      } catch (error) {
        settle(row);
        toast(problemText(error, { name: file.name }));
      }
    }
    running -= 1;
  }

  function settle(row) {
    row.root.remove();
    uploads = uploads.filter((other) => other !== row);
    drawEmptiness();
  }

  return {
    refresh,
    upload,
    all: () => [...documents.values()],
  };
}

/** POST a file. XMLHttpRequest, because fetch cannot tell how much of a body has been sent. */
async function send(file, onProgress) {
  const token = await accessToken();
  const form = new FormData();
  form.append("file", file);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/api/v1/documents");
    request.responseType = "json";
    const headers = { ...commonHeaders(), Authorization: `Bearer ${token}`, "Idempotency-Key": randomKey() };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / (total || 1)));
    request.addEventListener("error", () => reject(new ApiError({ code: "network" })));
    request.addEventListener("load", () => {
      const { status, response } = request;
      if (status >= 200 && status < 300) resolve({ created: status === 201, body: response });
      else reject(new ApiError({ ...response, status, code: response?.code ?? `http_${status}` }));
    });
    request.send(form);
  });
}

const whyFailed = ({ error }) => tryText(`unread.${error?.code}`) ?? error?.detail ?? "";

function createRow(one, { onOpen, onDelete }) {
  let current = one;
  const badge = element("span", { class: "badge-status" });
  const name = element("span", { class: "name" });
  const bar = element("span", { class: "bar-progress", hidden: true }, element("span"));
  const button = element("button", { type: "button", class: "item", onclick: () => onOpen(current, button) }, name, badge, bar);
  const bin = iconButton("trash", t("document.delete", { name: one.name }), () => onDelete(current));
  const root = element("li", {}, button, bin);
  const update = (document, took = null) => {
    current = document;
    const { status, progress } = document;
    const total = progress?.pages_total ?? 0;
    const done = progress?.pages_done ?? 0;
    const counting = !ENDED.has(status) && total > 0;
    if (name.textContent !== document.name) name.replaceChildren(middleCut(document.name));
    button.title = status === "failed" ? `${document.name}\n${whyFailed(document)}` : document.name;
    button.disabled = status !== "ready" && status !== "failed";
    badge.className = `badge-status ${ENDED.has(status) ? status : "working"}`;
    const state = t(`status.${status}`);
    badge.textContent = counting && done < total ? t("document.progress", { done, total }) : state;
    if (status === "ready" && took !== null) {
      badge.textContent = `${state} · ${duration(took)}`;
      setTimeout(() => (badge.textContent = state), TIME_SHOWN_MS);
    }
    bar.hidden = !counting;
    bar.firstChild.style.width = counting ? `${(100 * done) / total}%` : "0";
    root.classList.toggle("working", counting);
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

/** Files dropped anywhere on the page. `sentence()` says what will happen to them. */
export function acceptDrops({ onFiles, sentence }) {
  const veil = find("#drop-veil");
  let depth = 0; // dragenter and dragleave come for every element on the way.
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const end = () => {
    depth = 0;
    veil.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    find("p", veil).textContent = sentence();
    veil.hidden = false;
  });
  addEventListener("dragleave", (event) => {
    if (hasFiles(event) && (depth -= 1) <= 0) end();
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    end();
    onFiles([...event.dataTransfer.files]);
  });
}
