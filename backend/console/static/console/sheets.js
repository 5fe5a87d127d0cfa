// Sheets: what opens over the right column, or over the whole page where there is little room, with an address of its own.
//
//   sheets.add("agents", {
//     title: () => t("…"),                  // Or open() returns the title, once it is known.
//     open: async (body, ...rest) => {…},   // Fills the body; the rest is what follows the name in the address.
//     leave: () => {…},                     // Optional: when another sheet or none is on show.
//   });
//   go("agents", id)                        // From router.js: opens it.
//   sheets.close()                          // Back to the conversation.

import { element, find, icon, media } from "./dom.js";
import { t } from "./i18n.js";
import { problemText } from "./problems.js";
import { place, route } from "./router.js";

/** `onClose()` goes back to where the sheet was opened: it changes the address, and that hides the sheet. */
export function createSheets({ onClose }) {
  const panel = find("#sheet");
  const title = find("h2", panel);
  let shown = null; // The sheet on show: { name, leave }.
  let turn = 0; // Counts openings, so that a slow one does not fill a newer one.
  let opener = null; // Gets the focus back.

  find("#sheet-close").append(icon("close"));
  find("#sheet-close").addEventListener("click", onClose);

  function add(name, sheet) {
    route(name, (...rest) => open(name, sheet, rest));
  }

  async function open(name, sheet, rest) {
    const mine = (turn += 1);
    if (!shown) opener = document.activeElement;
    if (shown && shown.name !== name) shown.leave?.();
    shown = { name, leave: sheet.leave };
    title.textContent = sheet.title?.(...rest) ?? "";
    const body = element("div", { class: "scroller" });
    find(".scroller", panel).replaceWith(body);
    find("#app").dataset.sheet = name;
    panel.hidden = false;
    cover(panel, true);
    panel.focus();
    try {
      const named = await sheet.open(body, ...rest);
      if (mine === turn && typeof named === "string") title.textContent = named;
    } catch (error) {
      if (mine === turn) body.replaceChildren(element("p", { class: "hint error" }, t("sheet.failed", { detail: problemText(error) })));
    }
  }

  /** Take the sheet away; another part of the page has set the address already. */
  function hide() {
    if (!shown) return;
    turn += 1;
    shown.leave?.();
    shown = null;
    delete find("#app").dataset.sheet;
    panel.hidden = true;
    find(".scroller", panel).replaceChildren();
    cover(panel, false);
    if (opener?.isConnected) opener.focus();
    opener = null;
  }

  return { add, hide, close: onClose, isOpen: () => shown !== null, current: () => (shown ? place() : null) };
}

// Panels that lie over the rest: while one is open in a narrow window, what it covers is out of reach. -------------------

const open = []; // The newest last.

/** Say that a panel has been opened or closed. */
export function cover(panel, isOpen) {
  const at = open.indexOf(panel);
  if (at >= 0) open.splice(at, 1);
  if (isOpen) open.push(panel);
  layOut();
}

function layOut() {
  const top = media.sheet.matches ? open.at(-1) : undefined;
  for (const part of document.querySelectorAll("#side, #talk, #tabs, #source, #sheet")) {
    part.inert = top !== undefined && part !== top;
    if (part === top) part.setAttribute("role", "dialog");
    else if (part.matches("#source, #sheet")) part.removeAttribute("role");
  }
  const source = find("#source");
  if (media.sheet.matches && !open.includes(source)) source.inert = true; // Out of sight beside the window.
  find("#veil").hidden = top === undefined;
}

media.sheet.addEventListener("change", layOut);
