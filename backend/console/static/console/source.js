// The source of a citation: the page of the document with the cited sentence marked, or its text.

import { blobUrl, get } from "./api.js";
import { element, find, icon, media } from "./dom.js";
import { t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { cover } from "./sheets.js";

const LONGEST_QUOTE = 10_000; // Characters.

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

  /** Show where a citation comes from. `button` is what was pressed; without it the panel only fills quietly. */
  async function show(citation, button = null) {
    const mine = (turn += 1);
    markButton(citation, button);
    if (button) opener = button;
    if (button) setOpen(true);
    try {
      const path = `/api/v1/documents/${citation.document}`;
      const [document, chunk] = await Promise.all([
        shown?.document.id === citation.document ? shown.document : get(path),
        citation.chunk ? get(`${path}/chunks/${citation.chunk}`) : null,
      ]);
      if (mine !== turn) return;
      const marked = chunk && markedRange(chunk, citation.quote);
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
    find(".name", panel).textContent = document.name;
    find(".name", panel).title = document.name;
    find(".where", panel).textContent = citation.n ? `${position}, ${t("source.number", { n: citation.n })}` : position;
    const offset = hasPages(document) ? 0 : 1;
    find(".position", footer).textContent = `${page + offset} / ${pages}`;
    find("span", previous).textContent = page + offset - 1;
    find("span", next).textContent = page + offset + 1;
    previous.disabled = page + offset <= 1;
    next.disabled = page + offset >= pages;
    footer.hidden = !(pages > 1);
    open.hidden = false;
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
    content.replaceChildren(
      element("figure", { class: "page-image" }, picture, marks),
      boxes.length ? element("p", { class: "visually-hidden" }, t("source.quote", { quote: citation.quote })) : "",
    );
    const scroll = () => (marks[0] ? marks[0].scrollIntoView({ block: "center", inline: "nearest" }) : (content.scrollTop = 0));
    picture.addEventListener("load", scroll, { once: true });
  }

  function drawPassage(passage, marked) {
    const text = passage?.text ?? "";
    const [start, end] = marked ? [marked.start - passage.char_start, marked.end - passage.char_start] : [0, 0];
    const mark = end > start ? element("mark", {}, slice(text, start, end)) : null;
    content.replaceChildren(element("div", { class: "passage" }, slice(text, 0, start), mark, slice(text, end)));
    if (mark) mark.scrollIntoView({ block: "center" });
    else content.scrollTop = 0;
  }

  function fail(error) {
    content.replaceChildren(element("p", { class: "hint error" }, t("source.failed", { detail: problemText(error) })));
  }

  /** Show a document from its beginning. */
  const showDocument = (document, button) => show({ document: document.id, document_name: document.name }, button);

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

  // Where the panel is a sheet over the rest, the rest is out of reach while it is open. ------------------------------
  let isOpen = false;

  function setOpen(value) {
    isOpen = value;
    layOut();
    if (value && media.sheet.matches) panel.focus();
  }

  function layOut() {
    panel.classList.toggle("open", isOpen);
    cover(panel, isOpen);
  }

  function close() {
    setOpen(false);
    opener?.focus();
  }

  function clear() {
    turn += 1;
    shown = null;
    setOpen(false);
    find(".name", panel).textContent = "";
    find(".where", panel).textContent = "";
    footer.hidden = true;
    open.hidden = true;
    content.replaceChildren(element("p", { class: "hint soft" }, t("source.hint")));
  }

  layOut();
  return { show, showDocument, close, clear, isSheetOpen: () => isOpen && media.sheet.matches, isEmpty: () => shown === null };
}

const percent = (part) => `${part * 100}%`;

const hasPages = (document) => document.content_type === "application/pdf";

function markButton(citation, button) {
  for (const other of document.querySelectorAll(".cite[aria-current]")) other.removeAttribute("aria-current");
  const message = button?.closest(".message");
  for (const same of message?.querySelectorAll(`.cite[data-n="${citation.n}"]`) ?? []) same.setAttribute("aria-current", "true");
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
  const boxes = (chunk.boxes ?? [])
    .filter((box) => box.char_end > start && box.char_start < end)
    .map((box) => cut(box, start, end, chunk));
  return { start, end, boxes };
}

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
