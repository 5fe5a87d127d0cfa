// The list of conversations.

import { get, patch, remove } from "./api.js";
import { confirmed, element, find, iconButton } from "./dom.js";
import { t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { address } from "./router.js";

export const titleOf = (conversation) => conversation?.title || t("conversation.untitled");

export function createConversations({ onOpen, onRenamed, onDeleted }) {
  const section = find("#conversations");
  const list = find("ul", section);
  const more = find(".more", section);
  let current = null;
  let next = null;

  more.addEventListener("click", async () => append(await get(next)));

  async function refresh() {
    const page = await get("/api/v1/conversations");
    list.replaceChildren();
    append(page);
    return page.results;
  }

  /** The conversation has a new answer, so it is the first of the list now. */
  async function answered(id) {
    const item = list.querySelector(`[data-id="${CSS.escape(id)}"]`)?.closest("li");
    if (!item) await refresh();
    else if (item !== list.firstElementChild) list.prepend(item);
  }

  function append(page) {
    list.append(...page.results.map(row));
    next = page.next;
    more.hidden = next === null;
    select(current);
  }

  function row(conversation) {
    const name = titleOf(conversation);
    // A real link: it can be opened in another tab. An ordinary click stays in this one.
    const link = element("a", { class: "item", href: address("conversations", conversation.id), title: name, "data-id": conversation.id }, element("span", { class: "name" }, name));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      onOpen(conversation.id);
    });
    const pencil = iconButton("pencil", t("rename", { name }), () => edit(conversation, item));
    const item = element("li", { class: "two" }, link, pencil, iconButton("trash", t("conversation.delete", { name }), () => onDelete(conversation)));
    return item;
  }

  /** Let the title be written anew, in its place in the list. */
  function edit(conversation, item) {
    const field = element("input", { class: "title", maxlength: "200", "aria-label": t("rename", { name: titleOf(conversation) }) });
    field.value = conversation.title;
    const before = [...item.children];
    let open = true;
    const close = async ({ save }) => {
      if (!open) return;
      open = false;
      const title = field.value.trim();
      const focused = document.activeElement === field;
      let now = conversation;
      try {
        if (save && title && title !== conversation.title) now = await patch(`/api/v1/conversations/${conversation.id}`, { title });
      } catch (error) {
        toast(problemText(error));
      }
      if (now === conversation) item.replaceChildren(...before);
      else {
        onRenamed(now);
        const renamed = row(now);
        item.replaceWith(renamed);
        item = renamed;
        select(current);
      }
      if (focused) find("a", item).focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.isComposing || !["Enter", "Escape"].includes(event.key)) return;
      event.stopPropagation(); // Escape would also stop an answer.
      close({ save: event.key === "Enter" });
    });
    field.addEventListener("blur", () => close({ save: true }));
    item.replaceChildren(field);
    field.focus();
    field.select();
  }

  async function onDelete(conversation) {
    const question = t("conversation.deleteAsk", { name: titleOf(conversation) });
    if (!(await confirmed(question, { yes: t("delete"), no: t("keep") }))) return;
    try {
      await remove(`/api/v1/conversations/${conversation.id}`);
      onDeleted(conversation.id);
      await refresh();
    } catch (error) {
      toast(problemText(error));
    }
  }

  function select(id) {
    current = id;
    for (const link of list.querySelectorAll("a")) {
      if (link.dataset.id === id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  return { refresh, answered, select };
}
