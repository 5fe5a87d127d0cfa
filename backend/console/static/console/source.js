// The source of a citation: the page of the document with the cited sentence marked, or its text.

import { blobUrl, get } from "./api.js";
import { element, find, icon, iconButton, media, middleCut } from "./dom.js";
import { t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { cover } from "./sheets.js";
import { createZoom } from "./zoom.js";

const LONGEST_QUOTE = 10_000; // Characters.
const CLOSED = "orquestra.source"; // Kept by the browser when the panel beside the conversation was closed.

export function createSource() {
  const panel = find("#source");
  const content = find(".scroller", panel);
  const footer = find("footer", panel);
  const previous = find("#source-previous");
  const next = find("#source-next");
  const open = find("#source-open");
  let shown = null; // { document, citation, chunk, page } of what is on show.
  let opener = null; // Gets the focus back when the sheet closes.
  let url = null; // The blob: URL of the page on show.
  let turn = 0; // Counts requests, so that a slow answer does not replace a newer one.

  previous.addEventListener("click", () => turnTo(shown.page - 1));
  next.addEventListener("click", () => turnTo(shown.page + 1));
  find("#source-close").addEventListener("click", close);
  open.addEventListener("click", () => openFile().catch((error) => toast(problemText(error))));
  previous.append(icon("previous"), element("span"));
  next.append(element("span"), icon("next"));

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
    try {
      const path = `/api/v1/documents/${citation.document}`;
      const [document, chunk] = await Promise.all([
        shown?.document.id === citation.document ? shown.document : get(path),
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
        if (mine !== turn) return URL.revokeObjectURL(image);
        if (url) URL.revokeObjectURL(url);
        url = image;
        drawPage(image, page);
      } else {
        const passage = chunk && chunk.index === page ? chunk : await passageAt(document, page);
        if (mine === turn) drawPassage(passage, passage?.id === citation.chunk ? marked : null);
      }
    } catch (error) {
      if (mine === turn) fail(error);
    }
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
    find("span", previous).textContent = page + offset - 1;
    find("span", next).textContent = page + offset + 1;
    previous.disabled = page + offset <= 1;
    next.disabled = page + offset >= pages;
    find(".turning", footer).hidden = !(pages > 1);
    zooming.hidden = !hasPages(document);
    footer.hidden = !(pages > 1) && zooming.hidden;
    open.hidden = false;
    find(".hint", content)?.remove();
  }

  function drawPage(image, page) {
    const { document, marked, citation } = shown;
    const boxes = (marked?.boxes ?? []).filter((box) => box.page === page);
    const picture = element("img", { src: image, alt: t("source.image", { page, document: document.name }) });
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
    const scroll = () => (marks[0] ? marks[0].scrollIntoView({ block: "center", inline: "center" }) : (content.scrollTop = 0));
    picture.addEventListener("load", scroll, { once: true });
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
    turn += 1;
    shown = opener = null;
    zoom.show(null);
    setOpen(false);
    find(".name", panel).textContent = "";
    find(".where", panel).textContent = "";
    footer.hidden = true;
    open.hidden = true;
    content.replaceChildren(element("p", { class: "hint soft" }, t("source.hint")));
  }

  layOut();
  return { show, showDocument, close, clear, isClosed, isSheetOpen: () => isOpen && media.sheet.matches };
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

/** What to mark for a citation: its own span and boxes, or, in old messages, what its quote covers of the passage. */
function markOf(citation, chunk) {
  const { char_start: start, char_end: end, boxes } = citation;
  if (!Number.isInteger(start)) return chunk && markedRange(chunk, citation.quote);
  return { start, end, boxes: boxesWithin(boxes?.length ? boxes : chunk?.boxes ?? [], start, end, chunk) };
}

async function passageAt(document, index) {
  const { results } = await get(`/api/v1/documents/${document.id}/chunks?index=${index}&limit=1`);
  return results[0] ?? null;
}

/**
 * Where the quote stands: { start, end } in characters of the document, and the boxes to mark, cut to the quote.
 * Without a quote that can be found, the whole passage is marked: never a wrong line.
 */
export function markedRange(chunk, quote) {
  const [from, to] = locate(chunk.text, quote ?? "") ?? [0, Array.from(chunk.text).length];
  const start = chunk.char_start + from;
  const end = chunk.char_start + to;
  return { start, end, boxes: boxesWithin(chunk.boxes ?? [], start, end, chunk) };
}

const boxesWithin = (boxes, start, end, chunk) =>
  boxes.filter((box) => box.char_end > start && box.char_start < end).map((box) => (chunk ? cut(box, start, end, chunk) : box));

/** Find a quote whatever its white space, case, punctuation and hyphens at line ends: models do not copy those faithfully. */
function locate(text, quote) {
  const wanted = letters(quote.slice(0, LONGEST_QUOTE)).text;
  const there = letters(text);
  const first = wanted ? there.text.indexOf(wanted) : -1;
  return first < 0 ? null : [there.places[first], there.places[first + wanted.length - 1] + 1];
}

/** The letters and figures of a text, and at which of its characters each UTF-16 unit of them stands. */
function letters(text) {
  const kept = [];
  const places = [];
  for (const [place, character] of Array.from(text).entries()) {
    if (!/[\p{L}\p{N}]/u.test(character)) continue;
    const lower = character.toLowerCase();
    kept.push(lower);
    for (let unit = 0; unit < lower.length; unit += 1) places.push(place);
  }
  return { text: kept.join(""), places };
}

// The API counts characters; a JavaScript string counts UTF-16 units, two for an emoji.
const slice = (text, from, to) => Array.from(text).slice(from, to).join("");

/** The part of a line's box that the quote covers, measured with a font like that of most documents. */
function cut(box, start, end, chunk) {
  const line = slice(chunk.text, Math.max(0, box.char_start - chunk.char_start), box.char_end - chunk.char_start).trimEnd();
  const whole = width(line);
  if (!whole) return box;
  const share = (characters) => Math.min(1, width(line.slice(0, Math.max(0, characters))) / whole);
  const x = (part) => box.x0 + (box.x1 - box.x0) * part;
  return { ...box, x0: x(share(start - box.char_start)), x1: end >= box.char_end ? box.x1 : x(share(end - box.char_start)) };
}

let ruler;

function width(text) {
  ruler ??= Object.assign(document.createElement("canvas").getContext("2d"), { font: "100px serif" });
  return ruler.measureText(text).width;
}
