// Uploading: first the question where the files go, then a few at a time, with progress.

import { ApiError, accessToken, commonHeaders, getAll, post, randomKey } from "./api.js";
import { element, find, middleCut } from "./dom.js";
import { field, whenSent } from "./forms.js";
import { t } from "./i18n.js";

const AT_ONCE = 2;
const NEW = "new";

/**
 * Ask which agent is to know the files, and which collection they go to. Resolves to { agent, collection }, ids or null,
 * or to null if the files are not to be uploaded.
 */
export async function askWhere(files, { agents, agent = null, collection = null }) {
  const collections = await getAll("/api/v1/collections?limit=200");
  const option = (chosen) => ({ id, name }) => element("option", { value: id, selected: id === chosen }, name);
  const none = (key, chosen) => element("option", { value: "", selected: chosen === null }, t(key));
  const forAgent = element("select", { name: "agent" }, agents.map(option(agent)), none("upload.noAgent", agent));
  const forCollection = element(
    "select",
    { name: "collection" },
    none("upload.noCollection", collection),
    collections.map(option(collection)),
    element("option", { value: NEW }, t("collection.new")),
  );
  const named = field(t("collection.name"), element("input", { name: "name", maxlength: "255", autocomplete: "off" }));
  const also = element("p", { class: "soft", role: "status" });
  const listed = files.slice(0, 5).map(({ name }) => element("li", {}, middleCut(name)));
  if (files.length > listed.length) listed.push(element("li", { class: "soft" }, t("upload.more", { n: files.length - listed.length })));
  const dialog = element("dialog", { id: "upload-dialog", "aria-labelledby": "upload-title" });
  const form = element(
    "form",
    {},
    element("h2", { id: "upload-title" }, t("upload.title")),
    element("ul", { class: "files" }, listed),
    field(t("upload.agent"), forAgent, t("upload.agentHint")),
    field(t("upload.collection"), forCollection),
    named,
    also,
    element("p", { class: "error refusal", role: "alert" }),
    element(
      "div",
      { class: "row end" },
      element("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("cancel")),
      element("button", { type: "submit", class: "primary" }, t("upload.go")),
    ),
  );
  // A collection may be known to agents: who puts a document into it gives it to them as well.
  function draw() {
    named.hidden = forCollection.value !== NEW;
    const knowing = agents.filter(({ id, knowledge }) => id !== forAgent.value && knowledge.some((entry) => entry.collection && entry.collection === forCollection.value));
    also.textContent = knowing.length ? t("upload.also", { names: knowing.map(({ name }) => name).join(", ") }) : "";
    also.hidden = !knowing.length;
  }
  form.addEventListener("change", draw);
  draw();
  return new Promise((resolve) => {
    let answer = null;
    whenSent(form, async (values) => {
      const chosen = values.get("collection");
      const made = chosen === NEW ? (await post("/api/v1/collections", { name: values.get("name") })).id : chosen;
      answer = { agent: values.get("agent") || null, collection: made || null };
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
    find("[type=submit]", form).focus();
  });
}

/** A queue of uploads. `onProgress(part)`, `onDone({ created, body })` and `onFailed(error)` belong to each file. */
export function createQueue() {
  const waiting = [];
  let running = 0;

  async function work() {
    running += 1;
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      try {
        job.onDone(await send(job));
      } catch (error) {
        job.onFailed(error);
      }
    }
    running -= 1;
  }

  return function add(jobs) {
    waiting.push(...jobs);
    for (let free = Math.min(AT_ONCE - running, waiting.length); free > 0; free -= 1) work();
  };
}

/** POST a file. XMLHttpRequest, because fetch cannot tell how much of a body has been sent. */
async function send({ file, collection, onProgress }) {
  const token = await accessToken();
  const form = new FormData();
  if (collection) form.append("collection", collection);
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
      const retryAfter = Number(request.getResponseHeader("Retry-After")) || null;
      if (status >= 200 && status < 300) resolve({ created: status === 201, body: response });
      else reject(new ApiError({ ...response, status, code: response?.code ?? `http_${status}`, retryAfter }));
    });
    request.send(form);
  });
}

/** Files dropped anywhere on the page. */
export function acceptDrops({ onFiles }) {
  const veil = find("#drop-veil");
  let depth = 0; // dragenter and dragleave come for every element on the way.
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && !find("dialog[open]");
  const end = () => {
    depth = 0;
    veil.hidden = true;
  };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    depth += 1;
    find("p", veil).textContent = t("drop.here");
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
