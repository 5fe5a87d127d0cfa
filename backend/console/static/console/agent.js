// The sheet of one agent: its instructions, model with its price, knowledge, starters and limits. "#/agents/new" makes one.

import { get, getAll, patch, post, remove } from "./api.js";
import { confirmed, element, find, icon, iconButton } from "./dom.js";
import { field, whenSent } from "./forms.js";
import { money, t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { address, go } from "./router.js";

const FOUND = 8; // Documents that a search for knowledge shows.
const STARTERS = 10;
// The API takes counts as numbers and money as text; what is neither goes as it is, to be refused at its field.
const limit = (name, text) => (LIMITS[name] === "number" && /^\d+$/.test(text.trim()) ? Number(text) : text.trim() || null);
const LIMITS = { max_cost: "text", max_steps: "number", timeout_seconds: "number" };

/** `agents` are those of agents.js; `onChanged(agent)` is called after one was made, changed or (null) deleted. */
export function createAgentSheet({ agents, onChanged }) {
  async function open(body, id = "new") {
    const [agent, collections] = await Promise.all([
      id === "new" ? null : get(`/api/v1/agents/${id}`),
      getAll("/api/v1/collections?limit=200"),
    ]);
    const knowledge = await createKnowledge(agent?.knowledge ?? [], collections);
    const form = drawForm(agent, knowledge);
    body.replaceChildren(form);
    whenSent(form, (values) => save(form, agent, values, knowledge));
    if (agent) find("[name=name]", form).setSelectionRange(0, 0);
    return agent?.name ?? t("agent.new");
  }

  function drawForm(agent, knowledge) {
    const models = agents.models();
    const wanted = agent?.model ?? models.find((model) => model.default)?.id ?? "";
    const unknown = wanted && !models.some(({ id }) => id === wanted) ? [element("option", { value: wanted, selected: true }, wanted)] : [];
    const model = element("select", { name: "model" }, unknown, models.map((one) => option(one, wanted)));
    const price = element("p", { class: "soft price", role: "status" });
    const drawPrice = () => (price.textContent = priceText(models.find(({ id }) => id === model.value)));
    model.addEventListener("change", drawPrice);
    drawPrice();
    const limits = agent?.limits ?? {};
    return element(
      "form",
      { class: "agent-form" },
      field(t("agent.name"), element("input", { name: "name", value: agent?.name ?? "", maxlength: "150", autocomplete: "off" })),
      field(t("agent.instructions"), element("textarea", { name: "instructions", rows: "6" }, agent?.instructions ?? ""), t("agent.instructionsHint")),
      field(t("agent.model"), model),
      price,
      element("section", {}, element("h3", {}, t("agent.knowledge")), knowledge.root),
      field(t("agent.starters"), element("textarea", { name: "starters", rows: "3" }, (agent?.starters ?? []).join("\n")), t("agent.startersHint", { n: STARTERS })),
      element(
        "details",
        {},
        element("summary", {}, t("agent.limits")),
        Object.entries(LIMITS).map(([name, type]) =>
          field(
            t(`limit.${name}`),
            element("input", { name: `limits.${name}`, type, inputmode: type === "text" ? "decimal" : "numeric", value: limits[name] ?? "", autocomplete: "off" }),
            name === "max_cost" ? t("limit.none") : null,
          ),
        ),
      ),
      element("p", { class: "error refusal", role: "alert" }),
      element(
        "div",
        { class: "row spread save" },
        agent ? element("button", { type: "button", class: "quiet", onclick: () => destroy(agent) }, t("agent.delete")) : element("span"),
        element("button", { type: "submit", class: "primary" }, t(agent ? "save" : "agent.create")),
      ),
    );
  }

  /** Only what was changed is sent: anything but the name makes a new version. */
  async function save(form, agent, values, knowledge) {
    const given = {
      name: values.get("name"),
      instructions: values.get("instructions"),
      model: values.get("model"),
      starters: values.get("starters").split("\n").map((line) => line.trim()).filter(Boolean),
      limits: Object.fromEntries(Object.keys(LIMITS).map((name) => [name, limit(name, values.get(`limits.${name}`))])),
      knowledge: knowledge.value(),
    };
    const known = (entries) => entries.map(({ document, collection }) => document ?? collection).join();
    const unchanged = {
      name: agent?.name,
      instructions: agent?.instructions ?? "",
      model: agent?.model,
      starters: (agent?.starters ?? []).join("\n"),
      limits: JSON.stringify(Object.fromEntries(Object.keys(LIMITS).map((name) => [name, limit(name, String(agent?.limits[name] ?? ""))]))),
      knowledge: known(agent?.knowledge ?? []),
    };
    const now = { ...given, starters: given.starters.join("\n"), limits: JSON.stringify(given.limits), knowledge: known(given.knowledge) };
    const changed = Object.fromEntries(Object.entries(given).filter(([name]) => now[name] !== unchanged[name]));
    const details = find("details", form);
    try {
      const saved = agent ? await patch(`/api/v1/agents/${agent.id}`, changed) : await post("/api/v1/agents", changed.name === undefined ? { ...changed, name: "" } : changed);
      await agents.refresh();
      toast(t(agent ? "saved" : "agent.created", { name: saved.name }));
      await onChanged(saved);
    } catch (problem) {
      if (problem.errors?.some(({ pointer }) => pointer?.startsWith("/limits"))) details.open = true; // Or its field could not be seen.
      throw problem;
    }
  }

  async function destroy(agent) {
    if (!(await confirmed(t("agent.deleteAsk", { name: agent.name }), { yes: t("delete"), no: t("keep") }))) return;
    try {
      await remove(`/api/v1/agents/${agent.id}`);
      await agents.refresh();
      await onChanged(null);
    } catch (error) {
      toast(problemText(error));
    }
  }

  return { title: () => t("agent.sheet"), open };
}

/** What an agent knows, as a list that can be changed: { root, value() } with the entries for the API. */
async function createKnowledge(entries, collections) {
  const named = await Promise.all(entries.map((entry) => nameOf(entry, collections)));
  let chosen = named.filter(Boolean); // What was deleted is left out, and saved without.
  const list = element("ul", { class: "chips" });
  const found = element("ul", { class: "found" });
  const search = element("input", { type: "search", placeholder: t("agent.addKnowledge"), "aria-label": t("agent.addKnowledge"), autocomplete: "off" });
  const says = element("p", { class: "visually-hidden", role: "status" });
  let turn = 0;
  let typing;

  function draw() {
    list.replaceChildren(
      ...chosen.map((one) =>
        element(
          "li",
          {},
          element("a", { href: address("documents", one.id) }, one.name),
          one.entry.collection ? element("span", { class: "soft" }, t("agent.aCollection")) : "",
          iconButton("close", t("agent.forget", { name: one.name }), () => {
            chosen = chosen.filter((other) => other !== one);
            draw();
            search.focus();
          }),
        ),
      ),
    );
    if (!chosen.length) list.replaceChildren(element("li", { class: "soft" }, t("agent.knowsNothingYet")));
  }

  async function look() {
    const mine = (turn += 1);
    const query = search.value.trim();
    const { results } = await get(`/api/v1/documents?limit=${FOUND}${query ? `&q=${encodeURIComponent(query)}` : ""}`);
    if (mine !== turn) return;
    const fits = ({ name }) => name.toLowerCase().includes(query.toLowerCase());
    const offered = [
      ...collections.filter(fits).map(({ id, name }) => ({ id, name, entry: { collection: id } })),
      ...results.map(({ id, name }) => ({ id, name, entry: { document: id } })),
    ].filter(({ id }) => !chosen.some((one) => one.id === id));
    found.replaceChildren(
      ...offered.slice(0, FOUND).map((one) =>
        element(
          "li",
          {},
          element(
            "button",
            {
              type: "button",
              class: "quiet",
              onclick: () => {
                chosen = [...chosen, one];
                draw();
                look();
                search.focus();
              },
            },
            icon("plus"),
            element("span", { class: "name" }, one.name),
            one.entry.collection ? element("span", { class: "soft" }, t("agent.aCollection")) : "",
          ),
        ),
      ),
    );
    if (!offered.length) found.replaceChildren(element("li", { class: "soft" }, t("library.noMatch")));
    says.textContent = t("agent.found", { n: offered.length });
  }

  const lookSafely = () => look().catch((error) => toast(problemText(error)));
  search.addEventListener("focus", () => found.children.length || lookSafely());
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(lookSafely, 250);
  });
  search.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault()); // It would save.
  draw();
  return { root: element("div", { class: "field knowledge" }, list, search, found, says), value: () => chosen.map(({ entry }) => entry) };
}

async function nameOf(entry, collections) {
  if (entry.collection) {
    const collection = collections.find(({ id }) => id === entry.collection);
    return collection ? { id: collection.id, name: collection.name, entry } : null;
  }
  const document = await get(`/api/v1/documents/${entry.document}`).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
  return document && { id: document.id, name: document.name, entry };
}

function option(model, wanted) {
  const { id, name, available, input_price: input } = model;
  const text = !available ? t("agent.unavailable", { name }) : input === null ? t("agent.unpriced", { name }) : `${name} · ${pair(model)}`;
  return element("option", { value: id, selected: id === wanted, disabled: (!available || input === null) && id !== wanted }, text);
}

const pair = ({ input_price: input, output_price: output, currency }) => `${money(input, currency)} / ${money(output, currency)}`;

function priceText(model) {
  if (!model || model.input_price === null) return "";
  const { input_price: input, output_price: output, currency } = model;
  return t("agent.price", { input: money(input, currency), output: money(output, currency) });
}
