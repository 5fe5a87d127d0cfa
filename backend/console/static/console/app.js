// Puts the parts of the page together: who is logged in, which conversation the address names, what a key does.

import "./theme.js";
import { createEntrance, drawAccount, logOut } from "./accounts.js";
import { createAgentSheet } from "./agent.js";
import { createAgents } from "./agents.js";
import { get, signedIn, whenSignedOut } from "./api.js";
import { createChat } from "./chat.js";
import { createComposer } from "./composer.js";
import { createConversations } from "./conversations.js";
import { createDocuments } from "./documents.js";
import { element, find, icon, media } from "./dom.js";
import { switchLanguage, t, translate } from "./i18n.js";
import { createLibrary } from "./library.js";
import { problemText, toast } from "./problems.js";
import { follow, go, place, rename, replace, route, show } from "./router.js";
import { createSheets } from "./sheets.js";
import { createSettings } from "./settings.js";
import { createSource } from "./source.js";
import { acceptDrops } from "./uploads.js";
import { createWallet } from "./wallet.js";

translate(document);

const app = find("#app");
const question = find("#question");

const OPEN = "orquestra.conversation"; // The conversation that a sheet lies over, for a reload.

const sheets = createSheets({ onClose: () => go("conversations", chat.current()?.id) });
const source = createSource();
const wallet = createWallet({ onShow: () => go("wallet"), agents: () => agents.all() });
const conversations = createConversations({
  onOpen: (id) => goTo(id),
  onRenamed: (conversation) => chat.renamed(conversation),
  onDeleted: (id) => id === chat.current()?.id && goTo(null),
});
const documents = createDocuments({
  agents: () => agents.all(),
  agent: () => agents.current(),
  knowing: (document) => agents.knowing(document),
  onOpen: source.showDocument,
  onTell: ({ id }) => go("documents", id),
  onUploaded: (document, agent) => agents.teach(document, agent),
  onEnded: () => {
    quietly(wallet.refresh)();
    chat.redraw(); // An answer that waits for documents names those that could not be read.
  },
  onDeleted: (document) => agents.forget(document),
});
const agents = createAgents({ onChoose: choose });

async function choose(agent) {
  // A conversation belongs to its agent: another one begins a new conversation.
  await agents.show(agent);
  if (chat.current() && chat.current().agent !== agent.id) await goTo(null);
  else sheets.close();
  drawStarters();
  question.focus();
}

const chat = createChat({
  agent: agents.current,
  unread: () => documents.all().filter(isUnread).map(({ name }) => name),
  arriving: () => (agents.current() ? documents.arriving(agents.current()) : []),
  onCite: (citation, button) => source.show(citation, { button }),
  onCreated: (conversation) => {
    if (place()[0] === "conversations") rename("conversations", conversation.id);
    sessionStorage.setItem(OPEN, conversation.id);
    conversations.refresh().then((listed) => {
      conversations.select(conversation.id);
      chat.renamed(listed.find(({ id }) => id === conversation.id) ?? conversation);
    });
  },
  onEnded: ({ citations }) => {
    if (citations.length === 0) source.none();
    quietly(wallet.refresh)();
    quietly(() => conversations.answered(chat.current().id))();
  },
  onFirstSource: showBeside,
  onShown: showBeside,
});
sheets.add("wallet", wallet);
sheets.add("settings", createSettings({ onUser: drawAccount }));
sheets.add(
  "agents",
  createAgentSheet({
    agents,
    onChanged: (agent) => (agent ? choose(agents.all().find(({ id }) => id === agent.id) ?? agent) : sheets.close()),
  }),
);
sheets.add(
  "documents",
  createLibrary({
    documents,
    agents,
    onPreview: async (document) => {
      await sheets.close();
      source.showDocument(document, find("#documents-title a"));
    },
  }),
);

const entrance = createEntrance({ onEnter: () => enter().then(begin) });

const isUnread = (document) => document.status === "failed" && agents.knowing(document).some(({ id }) => id === agents.current()?.id);

/** The source follows the newest answer that cites, where it stands beside it; a sheet would cover the answer. */
function showBeside(message, root) {
  if (message.citations.length === 0) source.none();
  else if (!media.sheet.matches && !source.isClosed()) source.show(message.citations[0], { button: find(".cite", root), quietly: true });
}

/** Something that is only nice to have: its failure is not worth a word. */
function quietly(work) {
  return () => work().catch(() => {});
}

// Coming in, going out -----------------------------------------------------------------------------------------------

let entered = Promise.resolve(); // A question that is asked before waits for it, else it would be asked elsewhere.

function enter() {
  entered = load();
  return entered;
}

async function load() {
  app.hidden = false;
  try {
    const [user] = await Promise.all([get("/api/v1/users/me"), agents.refresh(), documents.refresh(), conversations.refresh(), wallet.reload()]);
    drawAccount(user);
    if (place()[0] !== "conversations") await openConversation(sessionStorage.getItem(OPEN) || null);
    await show();
  } catch (error) {
    if (signedIn()) toast(problemText(error));
  }
}

/** Where somebody who has just come in goes on: the question, but on a phone that would bring up its keyboard. */
function begin() {
  if (app.hidden || sheets.isOpen()) return;
  const heading = find("#empty h2");
  if (!media.phone.matches || !heading.checkVisibility()) question.focus();
  else heading.focus();
}

whenSignedOut((reason) => {
  chat.leave();
  sheets.hide();
  source.clear();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  find("#toasts").replaceChildren(); // They name files, and the next person may be another.
  app.hidden = true;
  document.title = "Orquestra";
  if (reason === "here") {
    history.replaceState(null, "", "/");
    sessionStorage.removeItem(OPEN);
  }
  entrance.show(reason);
});

// Addresses ------------------------------------------------------------------------------------------------------------

// "#/conversations/cnv_…/msg_…" is a conversation, at one of its messages; without ids it is a new one.
route(
  "conversations",
  async (id = null, message = null) => {
    sheets.hide();
    setView("chat");
    await openConversation(id);
    if (message) chat.reveal(message);
  },
  { isFallback: true },
);

// "#/runs/run_…" is the answer of a run: what was paid for leads here.
route("runs", async (id) => {
  try {
    const run = await get(`/api/v1/runs/${id}`);
    await replace("conversations", run.conversation, run.output_message);
  } catch (error) {
    toast(problemText(error));
    await replace("conversations", chat.current()?.id);
  }
});

// The links in our e-mails belong to the entrance, whoever is logged in.
const mailed = () => entrance.follow(location.hash);

follow(() => {
  if (mailed()) app.hidden = true;
  return !app.hidden;
});

/** Open a conversation, null for a new one, ready for the next question. */
async function goTo(id) {
  await go("conversations", id);
  if (!media.phone.matches) question.focus();
}

/** What is open already stays as it is. */
async function openConversation(id) {
  if (id === (chat.current()?.id ?? null) && chat.isOpen()) return;
  source.clear();
  conversations.select(id);
  try {
    await chat.open(id);
  } catch (error) {
    toast(problemText(error));
    if (place()[0] === "conversations") rename("conversations");
    conversations.select(null);
    await chat.open(null);
  }
  sessionStorage.setItem(OPEN, chat.current()?.id ?? "");
  const agent = chat.current()?.agent;
  if (agent && agent !== agents.current()?.id) await agents.showById(agent);
  drawStarters();
}

function drawStarters() {
  const agent = agents.current();
  const starters = agent?.starters?.slice(0, 3) ?? [];
  find("#starters").replaceChildren(
    starters.length ? element("p", { class: "soft" }, t("empty.starters", { name: agent.name })) : "",
    ...starters.map((text) => element("button", { type: "button", class: "starter card", onclick: () => composer.ask(text) }, text)),
  );
}

// Asking ---------------------------------------------------------------------------------------------------------------

const composer = createComposer({
  isBusy: () => chat.isAnswering(),
  onBusy: () => chat.askToWait(),
  onAsk: async (text) => {
    await entered;
    setView("chat");
    return chat.send(text);
  },
});
find("#stop").addEventListener("click", () => chat.stop());
find("#answer-now").addEventListener("click", () => chat.answerNow());
find("#export").addEventListener("click", () => chat.save());

// Views, keys, drops -----------------------------------------------------------------------------------------------------

/** "chat"; on a phone also "documents" and "conversations", which are beside the chat where there is room. */
function setView(view) {
  app.dataset.view = view;
  // On a phone the left column is then all there is.
  find("#side").setAttribute("role", view === "documents" || view === "conversations" ? "main" : "complementary");
  for (const tab of document.querySelectorAll("#tabs button")) {
    if (tab.dataset.view === view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

const TABS = { chat: "chat", documents: "document", wallet: "coin" };
for (const tab of document.querySelectorAll("#tabs button")) {
  tab.prepend(icon(TABS[tab.dataset.view]));
  tab.addEventListener("click", () => (tab.dataset.view === "wallet" ? go("wallet") : setView(tab.dataset.view)));
}
find("#show-conversations").append(icon("list"));
find("#show-conversations").addEventListener("click", () => setView("conversations"));
find("#source-close").append(icon("close"));
find("#export").prepend(icon("save"));
find("#newest").append(icon("below"));
find("#drop").prepend(icon("upload"));
find("#new-conversation").addEventListener("click", () => goTo(null));
find("#veil").addEventListener("click", () => (source.isSheetOpen() ? source.close() : sheets.close()));
find("#settings").addEventListener("click", () => {
  find("#account-menu").hidePopover();
  go("settings");
});
find("#logout").addEventListener("click", () => {
  chat.leave(); // Else its stream would come back, and be refused.
  logOut();
});
for (const skip of document.querySelectorAll(".skip")) {
  skip.addEventListener("click", (event) => {
    event.preventDefault(); // The part of an address after "#" belongs to router.js.
    (skip.dataset.to === "newest" ? chat.newestAnswer() ?? question : question).focus();
  });
}
for (const button of document.querySelectorAll(".language")) button.addEventListener("click", switchLanguage);

addEventListener("keydown", (event) => {
  if (app.hidden || find("dialog[open]")) return;
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    goTo(null);
  } else if (event.key === "Escape" && !find("[popover]:popover-open")) {
    if (source.isSheetOpen()) source.close();
    else if (sheets.isOpen()) sheets.close();
    else if (app.dataset.view !== "chat") setView("chat");
    else chat.stop();
  }
});

acceptDrops({
  onFiles: (files) => {
    const [sheet, collection] = place(); // What is dropped onto a collection of the library goes there.
    if (!app.hidden) documents.upload(files, { collection: sheet === "documents" && collection?.startsWith("col_") ? collection : null });
  },
});

// Links of earlier versions of this page.
const before = new URLSearchParams(location.search).get("c");
if (before) rename("conversations", before);

if (mailed()) app.hidden = true;
else if (signedIn()) enter();
else entrance.show();
