// The library: every document with its state, warnings and reasons of failure; collections; one document at length.
// "#/documents" is all of them, "#/documents/col_…" a collection, "#/documents/doc_…" one document.

import { get, getAll, patch, post, remove } from "./api.js";
import { createState, factsOf, warningsOf, whyFailed } from "./document.js";
import { confirmed, element, icon, iconButton } from "./dom.js";
import { field, whenSent } from "./forms.js";
import { t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { address, go } from "./router.js";

const STATUSES = ["ready", "doubtful", "failed", "parsing", "queued"]; // "doubtful" is our word for ready with warnings.
const TYPED_MS = 250;

/** `documents` is the list beside (documents.js), `agents` those of agents.js, `onPreview(document)` shows its pages. */
export function createLibrary({ documents, agents, onPreview }) {
  let unfollow = () => {};

  function leave() {
    unfollow();
    unfollow = () => {};
  }

  async function open(body, id = "") {
    leave();
    return id.startsWith("doc_") ? showDocument(body, id) : showList(body, id || null);
  }

  // All of them -------------------------------------------------------------------------------------------------------

  async function showList(body, collection) {
    const collections = await getAll("/api/v1/collections?limit=200");
    const chosen = collections.find(({ id }) => id === collection) ?? null;
    const list = element("ul", { class: "library" });
    const none = element("p", { class: "soft none", hidden: true });
    const more = element("button", { type: "button", class: "quiet more", hidden: true }, t("nav.more"));
    const search = element("input", { type: "search", "aria-label": t("document.find"), placeholder: t("document.find") });
    const status = element(
      "select",
      { "aria-label": t("library.status") },
      element("option", { value: "" }, t("library.anyStatus")),
      STATUSES.map((name) => element("option", { value: name }, t(`status.${name}`))),
    );
    const where = element(
      "select",
      { "aria-label": t("upload.collection") },
      element("option", { value: "" }, t("library.allCollections")),
      collections.map(({ id, name, document_count: n }) => element("option", { value: id, selected: id === chosen?.id }, `${name} (${n})`)),
      element("option", { value: "new" }, t("collection.new")),
    );
    const picker = element("input", { type: "file", multiple: true, hidden: true, onchange: () => drop([...picker.files]) });
    const drop = (files) => documents.upload(files, { collection: chosen?.id ?? null });
    const area = element("button", { type: "button", class: "drop small", onclick: () => picker.click() }, icon("upload"), element("span", {}, t("library.drop")));
    body.replaceChildren(
      element("div", { class: "filters" }, search, where, status),
      chosen ? collectionBar(chosen) : "",
      area,
      picker,
      none,
      list,
      more,
    );
    where.addEventListener("change", () => (where.value === "new" ? makeCollection(where) : go("documents", where.value)));
    status.addEventListener("change", () => refresh());
    let typing;
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(refresh, TYPED_MS);
    });
    const rows = new Map();
    let next = null;
    let turn = 0;
    more.addEventListener("click", async () => take(await get(next)).catch((error) => toast(problemText(error))));

    async function refresh() {
      const mine = (turn += 1);
      const query = new URLSearchParams();
      if (search.value.trim()) query.set("q", search.value.trim());
      if (status.value === "doubtful") query.set("warnings", "true");
      else if (status.value) query.set("status", status.value);
      if (chosen) query.set("collection", chosen.id);
      const page = await get(`/api/v1/documents?${query}`);
      if (mine !== turn) return;
      rows.clear();
      list.replaceChildren();
      await take(page);
      none.hidden = page.results.length > 0;
      none.textContent = t(query.size ? "library.noMatch" : "document.none");
    }

    async function take(page) {
      for (const one of page.results) add(one, "append");
      next = page.next;
      more.hidden = next === null;
      unfollow();
      unfollow = documents.follow(page.results, (id, now) => {
        if (now === null) rows.get(id)?.root.remove();
        else if (rows.has(id)) rows.get(id).update(now);
        else if (!query() && (!chosen || now.collections.includes(chosen.id))) add(now, "prepend"); // Just uploaded.
      });
    }

    const query = () => search.value.trim() || status.value;

    function add(one, how) {
      const row = createRow(one);
      rows.set(one.id, row);
      list[how](row.root);
      none.hidden = true;
    }

    await refresh();
    return chosen?.name ?? t("nav.documents");
  }

  function createRow(one) {
    const { badge, bar, update: draw } = createState();
    const name = element("a", { class: "name", href: address("documents", one.id) });
    const facts = element("p", { class: "soft" });
    const notes = element("div", { class: "notes" });
    const root = element("li", {}, element("div", { class: "row head" }, name, badge), facts, notes, bar);
    const update = (now) => {
      name.textContent = now.name;
      facts.textContent = [factsOf(now), knownTo(now)].filter(Boolean).join(" · ");
      notes.replaceChildren(...notesOf(now));
      root.classList.toggle("working", draw(now));
    };
    update(one);
    return { root, update };
  }

  function knownTo(one) {
    const names = agents.knowing(one).map(({ name }) => name);
    return names.length ? t("document.knownTo", { names: names.join(", ") }) : "";
  }

  // Collections -------------------------------------------------------------------------------------------------------

  function collectionBar({ id, name, document_count: n }) {
    const knowing = agents.all().filter(({ knowledge }) => knowledge.some((entry) => entry.collection === id));
    return element(
      "div",
      { class: "row spread collection" },
      element("p", { class: "soft" }, knowing.length ? t("document.knownTo", { names: knowing.map((agent) => agent.name).join(", ") }) : t("document.knownToNone")),
      element("button", { type: "button", class: "quiet", onclick: () => deleteCollection() }, t("collection.delete")),
    );
    async function deleteCollection() {
      const names = knowing.map((agent) => `“${agent.name}”`).join(", ");
      const question = [t("collection.deleteAsk", { name, n }), names ? t("document.deleteLoses", { names }) : ""].join(" ");
      if (!(await confirmed(question, { yes: t("delete"), no: t("keep") }))) return;
      await tell(async () => {
        await remove(`/api/v1/collections/${id}`);
        await agents.refresh();
        await go("documents");
      });
    }
  }

  /** Ask for the name of a new collection; `place` takes the focus back. */
  function makeCollection(place, then = (made) => go("documents", made.id)) {
    const dialog = element("dialog", { "aria-labelledby": "collection-title" });
    const form = element(
      "form",
      {},
      element("h2", { id: "collection-title" }, t("collection.new")),
      field(t("collection.name"), element("input", { name: "name", maxlength: "255", autocomplete: "off" })),
      element("p", { class: "error refusal", role: "alert" }),
      element(
        "div",
        { class: "row end" },
        element("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("cancel")),
        element("button", { type: "submit", class: "primary" }, t("collection.make")),
      ),
    );
    place.value = "";
    whenSent(form, async (values) => {
      const made = await post("/api/v1/collections", { name: values.get("name") });
      dialog.close();
      await then(made);
    });
    dialog.addEventListener("close", () => dialog.remove());
    dialog.append(form);
    document.body.append(dialog);
    dialog.showModal();
  }

  // One document ------------------------------------------------------------------------------------------------------

  async function showDocument(body, id) {
    const [first, collections] = await Promise.all([get(`/api/v1/documents/${id}`), getAll("/api/v1/collections?limit=200")]);
    let one = first;
    const { badge, bar, update: draw } = createState();
    const facts = element("p", { class: "soft" });
    const notes = element("div", { class: "notes" });
    const actions = element("div", { class: "row actions" });
    const knowing = element("ul", { class: "chips" });
    const places = element("ul", { class: "chips" });
    const join = element("select", { "aria-label": t("document.addToCollection") });
    const name = element("input", { name: "name", maxlength: "255", autocomplete: "off" });
    const rename = element(
      "form",
      { class: "rename" },
      field(t("agent.name"), name),
      element("p", { class: "error refusal", role: "alert" }),
      element("button", { type: "submit", class: "quiet" }, t("save")),
    );
    body.replaceChildren(
      element("p", {}, element("a", { class: "back", href: address("documents") }, icon("previous"), t("library.all"))),
      element("div", { class: "state" }, element("div", { class: "row" }, badge, facts), bar),
      notes,
      actions,
      element("h3", {}, t("document.whoKnows")),
      knowing,
      element("h3", {}, t("document.inCollections")),
      places,
      join,
      element("h3", {}, t("document.rename")),
      rename,
    );

    const button = (key, work, kind = "quiet") => element("button", { type: "button", class: kind, onclick: work }, t(key));
    const chip = (text, href, label, work) => element("li", {}, element("a", { href }, text), iconButton("close", label, work));

    function update(now) {
      one = now;
      draw(one);
      facts.textContent = factsOf(one);
      notes.replaceChildren(...notesOf(one));
      if (document.activeElement !== name) name.value = one.name;
      actions.replaceChildren(
        one.status === "ready" ? button("document.preview", () => onPreview(one), "primary") : "",
        one.status === "failed" || one.status === "cancelled" || one.warnings.length ? button("document.again", () => act("reprocess")) : "",
        button("delete", async () => (await documents.remove(one)) && go("documents")),
      );
      const agentsKnowing = agents.knowing(one);
      knowing.replaceChildren(
        ...agentsKnowing.map((agent) => {
          const direct = agent.knowledge.some((entry) => entry.document === one.id);
          const label = t("document.detach", { agent: agent.name });
          if (direct) return chip(agent.name, address("agents", agent.id), label, () => tell(() => agents.detach(agent, one)).then(() => update(one)));
          return element("li", {}, element("a", { href: address("agents", agent.id) }, agent.name), element("span", { class: "soft" }, t("document.throughCollection")));
        }),
      );
      if (!agentsKnowing.length) knowing.replaceChildren(element("li", { class: "soft" }, t("document.knownToNone")));
      const inside = collections.filter((collection) => one.collections.includes(collection.id));
      places.replaceChildren(
        ...inside.map((collection) =>
          chip(collection.name, address("documents", collection.id), t("document.leaveCollection", { collection: collection.name }), () => tell(() => move(collection, false))),
        ),
      );
      if (!inside.length) places.replaceChildren(element("li", { class: "soft" }, t("upload.noCollection")));
      join.replaceChildren(
        element("option", { value: "" }, t("document.addToCollection")),
        ...collections.filter((collection) => !inside.includes(collection)).map((collection) => element("option", { value: collection.id }, collection.name)),
        element("option", { value: "new" }, t("collection.new")),
      );
    }

    async function move(collection, into) {
      const path = `/api/v1/collections/${collection.id}/documents`;
      if (into) await post(path, { document: one.id });
      else await remove(`${path}?document=${one.id}`);
      documents.put(await get(`/api/v1/documents/${one.id}`));
    }

    const act = (what) => tell(async () => documents.put(await post(`/api/v1/documents/${one.id}/${what}`)));

    join.addEventListener("change", () => {
      const collection = collections.find((each) => each.id === join.value);
      if (collection) tell(() => move(collection, true));
      else if (join.value === "new") {
        makeCollection(join, (made) => {
          collections.push(made);
          return tell(() => move(made, true));
        });
      }
    });
    whenSent(rename, async () => {
      documents.put(await patch(`/api/v1/documents/${one.id}`, { name: name.value }));
      name.blur();
      toast(t("saved"));
    });
    update(one);
    unfollow = documents.follow([one], (changed, now) => changed === one.id && now && update(now));
    return one.name;
  }

  return { title: () => t("nav.documents"), open, leave };
}

/** Do something; the reason of a failure is shown as a toast. */
const tell = (work) => work().catch((error) => toast(problemText(error)));

/** Why it failed, or what of it could not be read: for good, not as news. */
function notesOf(one) {
  if (one.status === "failed") return [element("p", { class: "note failed" }, icon("warning"), element("span", {}, t("document.failed", { detail: whyFailed(one) })))];
  return warningsOf(one).map((text) => element("p", { class: "note" }, icon("warning"), element("span", {}, text)));
}
