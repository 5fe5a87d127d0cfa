// Agents: which one answers, what it knows. Making and changing them is in agent.js.

import { get, getAll, put } from "./api.js";
import { element, find, icon, middleCut } from "./dom.js";
import { count, t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { go } from "./router.js";

const CHOICE = "orquestra.agent";

export function createAgents({ onChoose }) {
  const button = find("#agent");
  const menu = find("#agent-menu");
  let agents = [];
  let current = null;
  let models = [];
  const gone = new Set(); // Documents deleted here, by id.

  button.append(icon("expand"), element("span", { class: "visually-hidden" }, t("agent.choose"))); // Its name begins with what is seen.

  async function refresh() {
    const [listed, catalog] = await Promise.all([getAll("/api/v1/agents"), getAll("/api/v1/models")]);
    agents = listed;
    models = catalog.filter(({ kind }) => kind === "chat");
    menu.replaceChildren(
      ...agents.map((agent) =>
        element("button", { type: "button", class: "quiet", "data-id": agent.id, onclick: () => pick(agent) }, badge(agent), middleCut(agent.name, { class: "name" })),
      ),
      element("button", { type: "button", class: "quiet edit-agent", onclick: () => leaveFor(current?.id) }, icon("pencil"), t("agent.edit")),
      element("button", { type: "button", class: "quiet new-agent", onclick: () => leaveFor("new") }, icon("plus"), t("agent.new")),
    );
    const kept = localStorage.getItem(CHOICE);
    const wanted = current?.id ?? kept;
    await show(agents.find(({ id }) => id === wanted) ?? agents[0] ?? null);
  }

  function pick(agent) {
    menu.hidePopover();
    onChoose(agent);
  }

  function leaveFor(id) {
    menu.hidePopover();
    go("agents", id);
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
    for (const item of menu.querySelectorAll("[data-id]")) item.classList.toggle("chosen", item.dataset.id === agent.id);
  }

  const showById = async (id) => show(agents.find((agent) => agent.id === id) ?? (await get(`/api/v1/agents/${id}`)));

  /** A document was deleted. The server takes it out of what agents know when it has purged it, a moment later. */
  async function forget({ id }) {
    gone.add(id);
    if (current) await show(current);
  }

  /** The agents that know a document, by itself or through a collection. */
  const knowing = (document) =>
    agents.filter(({ knowledge }) => knowledge.some((entry) => entry.document === document.id || document.collections?.includes(entry.collection)));

  // One after the other: each reads what the agent knows and writes it back with one more or less.
  let queue = Promise.resolve();

  function change(agent, changed) {
    const work = async () => {
      const path = `/api/v1/agents/${agent.id}/knowledge`;
      const { knowledge } = await get(path);
      agent.knowledge = (await put(path, { knowledge: changed(knowledge.filter((entry) => !gone.has(entry.document))) })).knowledge;
      if (current?.id === agent.id) await show(agent);
    };
    const done = queue.then(work);
    queue = done.catch(() => {});
    return done;
  }

  /** Let an agent know a document, so that the next question finds it. Resolves to whether that worked; never rejects. */
  async function teach(document, id) {
    const agent = agents.find((each) => each.id === id);
    if (!agent) return true;
    const withIt = (knowledge) => [...knowledge.filter((entry) => entry.document !== document.id), { document: document.id }];
    try {
      await change(agent, withIt);
      return true;
    } catch (error) {
      toast(problemText(error, { name: document.name }));
      return false;
    }
  }

  /** Let an agent no longer know a document. */
  const detach = (agent, document) => change(agent, (knowledge) => knowledge.filter((entry) => entry.document !== document.id));

  return { refresh, forget, show, showById, teach, detach, knowing, all: () => agents, models: () => models, current: () => current };
}

const initial = ({ name }) => Array.from(name.trim())[0]?.toUpperCase() ?? "?";

const badge = (agent) => element("span", { class: "badge", "aria-hidden": "true" }, initial(agent));

/** How many documents these are, those of collections counted. */
async function knownDocuments(knowledge) {
  const collections = knowledge.filter(({ collection }) => collection);
  const sizes = await Promise.all(collections.map(async ({ collection }) => (await get(`/api/v1/collections/${collection}`)).document_count));
  return sizes.reduce((sum, size) => sum + size, knowledge.length - collections.length);
}
