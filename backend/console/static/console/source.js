// The source of a citation: the page of the document with the cited sentence marked, or its text.

import { blobUrl, get } from "./api.js";
import { element, find, icon, iconButton, media, middleCut } from "./dom.js";
import { t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { markOf, slice } from "./quotes.js";
import { cover } from "./sheets.js";
import { createZoom } from "./zoom.js";

const CLOSED = "orquestra.source"; // Kept by the browser when the panel beside the conversation was closed.

export function createSource() {
  const panel = find("#source");
  const content = find(".scroller", panel);
  const footer = find("footer", panel);
  const previous = find("#source-previous");
  const next = find("#source-next");
  const open = find("#source-open");
  let shown = null; // { document, citation, chunk, page } of what is on show; null while a document is looked for.
  let opener = null; // Gets the focus back when the sheet closes.
  let url = null; // The blob: URL of the page on show.
  let turn = 0; // Counts requests, so that a slow answer does not replace a newer one.

  previous.addEventListener("click", () => turnTo(shown.page - 1));
  next.addEventListener("click", () => turnTo(shown.page + 1));
  for (const button of [previous, next]) button.addEventListener("click", () => button.disabled && content.focus()); // The last page.
  find("#source-close").addEventListener("click", close);
  open.addEventListener("click", () => openFile().catch((error) => toast(problemText(error))));
  const hidden = (key) => element("span", { class: "visually-hidden" }, t(key));
  previous.append(icon("previous"), hidden("source.previous"), element("span", { class: "number" }));
  next.append(hidden("source.next"), element("span", { class: "number" }), icon("next"));

  const percentage = element("span", { class: "position" });
  const zoom = createZoom(content, {
    anchor: () => find(".mark", content),
    onChange: (factor) => (percentage.textContent = `${Math.round(factor * 100)} %`),
  });
  const zooming = find(".zoom", footer);
  zooming.append(
    iconButton("smaller", t("zoom.smaller"), zoom.smaller),
    percentage,
    iconButton("larger", t("zoom.larger"), zoom.larger),
  );

  /**
   * Show where a citation comes from. `button` is what it was chosen with; `quietly`, the panel only fills: it neither
   * opens nor takes the focus.
   */
  async function show(citation, { button = null, quietly = false } = {}) {
    const mine = (turn += 1);
    markButton(button);
    opener = button;
    if (!quietly) setOpen(true);
    const known = shown?.document.id === citation.document ? shown.document : null;
    zoom.restart();
    drawLoading(citation.document_name ?? known?.name ?? "");
    try {
      const path = `/api/v1/documents/${citation.document}`;
      const [document, chunk] = await Promise.all([
        known ?? get(path),
        citation.chunk ? get(`${path}/chunks/${citation.chunk}`).catch(orNull) : null,
      ]);
      if (mine !== turn) return;
      const marked = markOf(citation, chunk);
      shown = { citation, document, chunk, marked, page: null };
      const first = marked?.boxes[0]?.page ?? citation.page_from ?? (hasPages(document) ? 1 : chunk?.index ?? 0);
      await turnTo(first);
    } catch (error) {
      if (mine === turn) fail(error);
    }
  }

  async function turnTo(page) {
    const mine = (turn += 1);
    const { document, citation, chunk, marked } = shown;
    shown.page = page;
    drawFrame();
    try {
      if (hasPages(document)) {
        const image = await blobUrl(`/api/v1/documents/${document.id}/pages/${page}.png`);
        const picture = element("img", { src: image, alt: t("source.image", { page, document: document.name }) });
        await picture.decode().catch(() => {}); // What cannot be drawn shows its description.
        if (mine !== turn) return URL.revokeObjectURL(image);
        if (url) URL.revokeObjectURL(url);
        url = image;
        drawPage(picture, page);
      } else {
        const passage = chunk && chunk.index === page ? chunk : await passageAt(document, page);
        if (mine === turn) drawPassage(passage, passage?.id === citation.chunk ? marked : null);
      }
    } catch (error) {
      if (mine === turn) fail(error);
    }
  }

  /** Take away what is on show at once: until the next has come, it would stand under the wrong name. */
  function drawLoading(name) {
    shown = null;
    find(".name", panel).replaceChildren(middleCut(name));
    find(".where", panel).textContent = "";
    footer.hidden = true;
    open.hidden = true;
    emptyWith("source.loading");
  }

  function emptyWith(key) {
    zoom.show(null);
    content.replaceChildren(element("p", { class: `hint soft ${key === "source.loading" ? "loading" : ""}`, role: "status" }, t(key)));
  }

  function drawFrame() {
    const { document, citation, page } = shown;
    const pages = hasPages(document) ? document.page_count : document.chunk_count;
    const position = t(hasPages(document) ? "source.page" : "source.passage", {
      page: hasPages(document) ? page : page + 1,
      pages,
    });
    find(".name", panel).replaceChildren(middleCut(document.name));
    find(".where", panel).textContent = citation.n ? `${position}, ${t("source.number", { n: citation.n })}` : position;
    const offset = hasPages(document) ? 0 : 1;
    find(".position", footer).textContent = `${page + offset} / ${pages}`;
    find(".number", previous).textContent = page + offset - 1;
    find(".number", next).textContent = page + offset + 1;
    previous.disabled = page + offset <= 1;
    next.disabled = page + offset >= pages;
    find(".turning", footer).hidden = !(pages > 1);
    zooming.hidden = !hasPages(document);
    footer.hidden = !(pages > 1) && zooming.hidden;
    open.hidden = false;
    emptyWith("source.loading");
  }

  function drawPage(picture, page) {
    const { marked, citation } = shown;
    const boxes = (marked?.boxes ?? []).filter((box) => box.page === page);
    const marks = boxes.map((box) => {
      const mark = element("span", { class: "mark", "aria-hidden": "true" });
      // Styles are set one by one: the Content-Security-Policy allows no style attributes in markup.
      mark.style.left = percent(box.x0);
      mark.style.top = percent(box.y0);
      mark.style.width = percent(box.x1 - box.x0);
      mark.style.height = percent(box.y1 - box.y0);
      return mark;
    });
    const figure = element("figure", { class: "page-image" }, picture, marks);
    content.replaceChildren(
      figure,
      boxes.length ? element("p", { class: "visually-hidden" }, t("source.quote", { quote: citation.quote })) : "",
    );
    zoom.show(figure);
    if (marks[0]) marks[0].scrollIntoView({ block: "center", inline: "center" });
    else content.scrollTo(0, 0);
  }

  function drawPassage(passage, marked) {
    const text = passage?.text ?? "";
    const [start, end] = marked ? [marked.start - passage.char_start, marked.end - passage.char_start] : [0, 0];
    const mark = end > start ? element("mark", {}, slice(text, start, end)) : null;
    zoom.show(null);
    content.replaceChildren(element("div", { class: "passage" }, slice(text, 0, start), mark, slice(text, end)));
    if (mark) mark.scrollIntoView({ block: "center" });
    else content.scrollTop = 0;
  }

  function fail(error) {
    zoom.show(null);
    content.replaceChildren(element("p", { class: "hint error" }, t("source.failed", { detail: problemText(error) })));
  }

  /** Show a document from its beginning. */
  const showDocument = (document, button) => show({ document: document.id, document_name: document.name }, { button });

  async function openFile() {
    const { document, page } = shown;
    const file = await blobUrl(`/api/v1/documents/${document.id}/content`);
    // A page of HTML opened from here would run as part of this site: only what browsers show without running it is
    // opened, the rest is saved.
    const harmless = ["application/pdf", "image/png", "image/jpeg"].includes(document.content_type);
    const target = harmless ? { href: `${file}#page=${page}`, target: "_blank" } : { href: file, download: document.name };
    element("a", target).click();
    setTimeout(() => URL.revokeObjectURL(file), 60_000);
  }

  // Where the panel is a sheet over the rest, it is opened by choosing a citation. Where it stands beside the
  // conversation, it is there until it is closed, and then until a citation is chosen.
  let isOpen = false;

  function setOpen(value) {
    isOpen = value;
    if (value) localStorage.removeItem(CLOSED);
    layOut();
    if (value && media.sheet.matches) panel.focus();
  }

  const isClosed = () => localStorage.getItem(CLOSED) !== null;

  function layOut() {
    panel.classList.toggle("open", isOpen);
    panel.classList.toggle("closed", isClosed());
    cover(panel, isOpen);
  }

  function close() {
    const beside = !media.sheet.matches && !find("#app").classList.contains("fresh");
    if (beside) localStorage.setItem(CLOSED, "closed");
    setOpen(false);
    opener?.focus();
  }

  function clear() {
    opener = null;
    setOpen(false);
    empty("source.hint");
  }

  function empty(key) {
    turn += 1;
    drawLoading("");
    emptyWith(key);
  }

  /** The newest answer cites nothing: the source of an earlier one goes away. What a person opened from the list, or as a sheet, stays. */
  function none() {
    const chosen = shown !== null && !shown.citation.n;
    if (chosen || (isOpen && media.sheet.matches)) return;
    markButton(null);
    empty("source.none");
  }

  layOut();
  return { show, showDocument, close, clear, none, isClosed, isSheetOpen: () => isOpen && media.sheet.matches };
}

const percent = (part) => `${part * 100}%`;

const hasPages = (document) => document.content_type === "application/pdf";

/** A passage that was built anew since has another id; where it stood is still known. */
function orNull(error) {
  if (error.status !== 404) throw error;
  return null;
}

function markButton(button) {
  for (const other of document.querySelectorAll(".cite[aria-current]")) other.removeAttribute("aria-current");
  if (button?.classList.contains("cite")) button.setAttribute("aria-current", "true");
}

async function passageAt(document, index) {
  const { results } = await get(`/api/v1/documents/${document.id}/chunks?index=${index}&limit=1`);
  return results[0] ?? null;
}
