// Agents: which one answers, what it knows, making a new one.

import { get, getAll, post, put } from "./api.js";
import { element, find, icon } from "./dom.js";
import { count, t } from "./i18n.js";
import { problemText, toast } from "./problems.js";

const CHOICE = "orquestra.agent";

export function createAgents({ documents, onChoose }) {
  const button = find("#agent");
  const menu = find("#agent-menu");
  const dialog = find("#agent-dialog");
  let agents = [];
  let current = null;
  let models = [];
  const gone = new Set(); // Documents deleted here, by id.

  button.append(icon("expand"));
  button.setAttribute("aria-label", t("agent.choose"));

  async function refresh() {
    const [listed, catalog] = await Promise.all([getAll("/api/v1/agents"), getAll("/api/v1/models")]);
    agents = listed;
    models = catalog.filter(({ kind }) => kind === "chat");
    menu.replaceChildren(
      ...agents.map((agent) =>
        element("button", { type: "button", class: "quiet", "data-id": agent.id, onclick: () => pick(agent) }, badge(agent), element("span", { class: "name" }, agent.name)),
      ),
      element("button", { type: "button", class: "quiet new-agent", onclick: openDialog }, icon("plus"), t("agent.new")),
    );
    const kept = localStorage.getItem(CHOICE);
    const wanted = current?.id ?? kept;
    await show(agents.find(({ id }) => id === wanted) ?? agents[0] ?? null);
  }

  function pick(agent) {
    menu.hidePopover();
    onChoose(agent);
  }

  /** Make an agent the one that is talked to: a fresh look at it, as its knowledge may have changed. */
  async function show(agent) {
    current = agent;
    button.hidden = agent === null;
    if (!agent) return;
    localStorage.setItem(CHOICE, agent.id);
    find(".badge", button).textContent = initial(agent);
    find(".name", button).textContent = agent.name;
    const model = models.find(({ id }) => id === agent.model);
    const known = await knownDocuments(agent.knowledge.filter(({ document }) => !gone.has(document)));
    if (current !== agent) return;
    const values = { documents: count("documents", known), model: model?.name ?? agent.model };
    find(".knows", button).textContent = t(known ? "agent.knows" : "agent.knowsNothing", values);
    button.setAttribute("aria-label", `${agent.name}, ${find(".knows", button).textContent}. ${t("agent.choose")}`);
    for (const item of menu.querySelectorAll("[data-id]")) item.classList.toggle("chosen", item.dataset.id === agent.id);
  }

  const showById = async (id) => show(agents.find((agent) => agent.id === id) ?? (await get(`/api/v1/agents/${id}`)));

  /** A document was deleted. The server takes it out of what agents know when it has purged it, a moment later. */
  async function forget({ id }) {
    gone.add(id);
    if (current) await show(current);
  }

  // One after the other: each reads what the agent knows and writes it back with one more.
  let queue = Promise.resolve();

  /** Let the chosen agent know a document, so that the next question finds it. */
  function teach(document) {
    const agent = current;
    if (!agent) return;
    queue = queue.then(async () => {
      try {
        const path = `/api/v1/agents/${agent.id}/knowledge`;
        const { knowledge } = await get(path);
        const others = knowledge.filter((entry) => entry.document !== document.id && !gone.has(entry.document));
        agent.knowledge = (await put(path, { knowledge: [...others, { document: document.id }] })).knowledge;
        if (current === agent) await show(agent);
      } catch (error) {
        toast(problemText(error));
      }
    });
    return queue;
  }

  // A new agent -------------------------------------------------------------------------------------------------------

  function openDialog() {
    menu.hidePopover();
    const field = (name, input, hint) => element("label", {}, element("span", {}, t(`agent.${name}`)), hint ? element("span", { class: "soft" }, hint) : "", input);
    const ready = documents().filter(({ status }) => status === "ready");
    const error = element("p", { class: "error", role: "alert" });
    const form = element(
      "form",
      { method: "dialog" },
      element("h2", { id: "agent-dialog-title" }, t("agent.new")),
      field("name", element("input", { name: "name", required: true, maxlength: "150", autocomplete: "off" })),
      field("instructions", element("textarea", { name: "instructions", rows: "4" }), t("agent.instructionsHint")),
      field("model", element("select", { name: "model" }, models.map(option))),
      ready.length > 0 &&
        element(
          "fieldset",
          {},
          element("legend", {}, t("agent.documents")),
          ready.map(({ id, name }) => element("label", { class: "check" }, element("input", { type: "checkbox", name: "document", value: id }), element("span", {}, name))),
        ),
      error,
      element(
        "div",
        { class: "row end" },
        element("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("cancel")),
        element("button", { type: "submit", class: "primary" }, t("agent.create")),
      ),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const values = new FormData(form);
      try {
        const agent = await post("/api/v1/agents", {
          name: values.get("name"),
          instructions: values.get("instructions"),
          model: values.get("model"),
          knowledge: values.getAll("document").map((id) => ({ document: id })),
        });
        dialog.close();
        await refresh();
        onChoose(agents.find(({ id }) => id === agent.id) ?? agent);
      } catch (problem) {
        error.textContent = problemText(problem);
      }
    });
    dialog.replaceChildren(form);
    dialog.showModal();
  }

  return { refresh, forget, show, showById, teach, current: () => current };
}

const option = ({ id, name, available }) =>
  element("option", { value: id, disabled: !available }, available ? name : t("agent.unavailable", { name }));

const initial = ({ name }) => Array.from(name.trim())[0]?.toUpperCase() ?? "?";

const badge = (agent) => element("span", { class: "badge", "aria-hidden": "true" }, initial(agent));

/** How many documents these are, those of collections counted. */
async function knownDocuments(knowledge) {
  const collections = knowledge.filter(({ collection }) => collection);
  const sizes = await Promise.all(collections.map(async ({ collection }) => (await get(`/api/v1/collections/${collection}`)).document_count));
  return sizes.reduce((sum, size) => sum + size, knowledge.length - collections.length);
}
