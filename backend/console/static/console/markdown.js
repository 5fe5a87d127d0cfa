// Markdown of an answer as DOM nodes. A small, forgiving part of CommonMark: what models write. What it does not know
// stays visible as text. Images are shown as links: loading one would let an answer call any server it likes.
//
// For any text, the work grows with its length only: blocks nest so deep and tables are so large, and beyond that
// they are text. No pattern here has two parts that may take the same characters.

import { withoutTokens } from "./citations.js";
import { element } from "./dom.js";
import { inline } from "./inline.js";

const DEEPEST = 12; // Quotes and lists within each other.
const LONGEST = 300_000; // Characters that are read as Markdown; the rest is text.
const PIECE = 10_000; // Characters of that rest in one block.
const MOST_COLUMNS = 100;
const MOST_CELLS = 20_000;

const FENCE = /^\s{0,3}(```+|~~~+)/;
const HEADING = /^\s{0,3}(#{1,6})\s+/;
const RULE = /^\s{0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+([^]*)/;
const QUOTE = /^\s{0,3}>\s?([^]*)/;
const TABLE_LINE = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$/;
const INDENT = /^(?: {4}|\t)/; // Code without a fence.
const MARKS = [FENCE, HEADING, RULE, QUOTE, ITEM];

const isText = (line) => line.trim() !== "" && !MARKS.some((pattern) => pattern.test(line));
const isTableLine = (line) => line.includes("-") && TABLE_LINE.test(line.trim());

/** Cut a text into blocks: `[{ kind, lines, start }]`, each with where it begins. */
export function blocks(text, from = 0) {
  const lines = [];
  const starts = [];
  for (let at = from; at <= text.length; ) {
    const end = text.indexOf("\n", at) < 0 ? text.length : text.indexOf("\n", at);
    lines.push(text.slice(at, text[end - 1] === "\r" && end < text.length ? end - 1 : end));
    starts.push(at);
    at = end + 1;
  }
  return cut(lines).map(({ kind, first, end }) => ({ kind, lines: lines.slice(first, end), start: starts[first] }));
}

function cut(lines) {
  const found = [];
  const filled = nextFilled(lines);
  let at = 0;
  const take = (kind, holds) => {
    const first = at;
    while (at < lines.length && holds(lines[at], at - first)) at += 1;
    found.push({ kind, first, end: at });
  };
  while (at < lines.length) {
    const line = lines[at];
    if (line.trim() === "") at += 1;
    else if (FENCE.test(line)) {
      const [, fence] = FENCE.exec(line);
      let open = true;
      take("code", (inner, index) => {
        if (!open) return false;
        if (index > 0 && closes(inner.trim(), fence)) open = false;
        return true;
      });
    } else if (HEADING.test(line)) take("heading", (_, index) => index === 0);
    else if (RULE.test(line)) take("rule", (_, index) => index === 0);
    else if (QUOTE.test(line)) take("quote", (inner) => QUOTE.test(inner));
    else if (ITEM.test(line)) {
      take("list", (inner, index) => {
        if (ITEM.test(inner)) return true;
        // An empty line belongs to a list when the list goes on after it.
        if (inner.trim() === "") return ITEM.test(filled(at)) || /^\s{2,}/.test(filled(at));
        return /^\s/.test(inner) || (index > 0 && isText(inner) && lines[at - 1].trim() !== "");
      });
    } else if (INDENT.test(line)) {
      take("indented", (inner) => INDENT.test(inner) || (inner.trim() === "" && INDENT.test(filled(at))));
    } else if (line.includes("|") && isTableLine(lines[at + 1] ?? "")) take("table", (inner) => inner.includes("|"));
    else take("paragraph", (inner, index) => index === 0 || isText(inner));
  }
  return found;
}

const closes = (line, fence) => line.startsWith(fence) && line === fence[0].repeat(line.length);

/** Gives the next line from a place on that is not empty, or "" where none follows; many may ask in the same gap. */
function nextFilled(lines) {
  let at = 0;
  return (from) => {
    at = Math.max(at, from);
    while (at < lines.length && lines[at].trim() === "") at += 1;
    return lines[at] ?? "";
  };
}

/**
 * Reads a text that grows, as often as it has grown: `{ blocks, kept }`, of which the first `kept` are those of the
 * time before. It may also change near its end, where a citation has come. What is new changes the last block, and the one before where a list goes on after an empty line.
 */
export function blockReader() {
  let text = "";
  let found = [];
  let marked = 0; // Blocks that are read as Markdown; after them come pieces of text.
  return (next) => {
    const same = alike(text, next);
    const complete = same >= LONGEST;
    // Of the blocks that begin before the first difference, all but the last two are as they were.
    const before = () => found.findLastIndex(({ start }, index) => index < marked && start <= same) + 1;
    const kept = complete ? marked + Math.floor((same - LONGEST) / PIECE) : Math.max(0, (same < text.length ? before() : marked) - 2);
    if (complete) found = found.slice(0, kept);
    else {
      found = found.slice(0, kept).concat(blocks(next.slice(0, LONGEST), kept ? found[kept].start : 0));
      marked = found.length;
    }
    for (let at = LONGEST + (found.length - marked) * PIECE; at < next.length; at += PIECE) {
      found.push({ kind: "text", lines: [next.slice(at, at + PIECE)], start: at });
    }
    text = next;
    return { blocks: found, kept };
  };
}

/** How many characters two texts have in common at their beginning. */
function alike(one, other) {
  if (other.startsWith(one)) return one.length;
  let [same, differs] = [0, one.length];
  while (differs - same > 1) {
    const middle = (same + differs) >> 1;
    if (other.startsWith(one.slice(0, middle))) same = middle;
    else differs = middle;
  }
  return same;
}

/** One block as an element. `cite` is as in inline.js. */
export function render({ kind, lines }, cite, depth = 0) {
  switch (kind) {
    case "heading": {
      const [mark, { length }] = HEADING.exec(lines[0]);
      // The page's own headings are h1 and h2: an answer begins under them.
      return element(`h${Math.min(6, length + 2)}`, {}, inline(withoutClosing(lines[0].slice(mark.length).trimEnd()), cite));
    }
    case "rule":
      return element("hr");
    case "code": {
      const closed = lines.length > 1 && closes(lines.at(-1).trim(), FENCE.exec(lines[0])[1]);
      return listing(lines.slice(1, closed ? -1 : undefined), cite);
    }
    case "indented":
      return listing(lines.map((line) => line.replace(INDENT, "")), cite);
    case "quote":
      return element("blockquote", {}, within(lines.map((line) => QUOTE.exec(line)[1]).join("\n"), cite, depth));
    case "list":
      return list(lines, cite, depth);
    case "table":
      return table(lines, cite);
    case "text":
      return element("p", {}, withoutTokens(lines.join("\n"), cite.markers));
    default:
      return element("p", {}, inline(lines.join("\n"), cite));
  }
}

const listing = (lines, cite) => element("pre", { tabindex: "0" }, element("code", {}, withoutTokens(lines.join("\n"), cite.markers)));

export const renderAll = (text, cite) => blockReader()(text).blocks.map((block) => render(block, cite));

/** The blocks inside a quote or an item. */
function within(text, cite, depth, { tight = false } = {}) {
  if (depth >= DEEPEST) return [text];
  return blocks(text).map((block) => {
    // A tight item is its text, without the margins of a paragraph.
    return tight && block.kind === "paragraph" ? inline(block.lines.join("\n"), cite) : render(block, cite, depth + 1);
  });
}

/** A heading's text without the marks that may close it, as in "## Title ##". */
function withoutClosing(text) {
  let end = text.length;
  while (text[end - 1] === "#") end -= 1;
  return end === 0 || /\s/.test(text[end - 1]) ? text.slice(0, end).trimEnd() : text;
}

function list(lines, cite, depth) {
  const [, indent, marker] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(marker);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) items.push([item[3]]);
    else items.at(-1).push(line.slice(Math.min(line.length - line.trimStart().length, indent.length + marker.length + 1)));
  }
  const node = element(ordered ? "ol" : "ul", ordered && parseInt(marker) !== 1 ? { start: parseInt(marker) } : {});
  for (const item of items) node.append(element("li", {}, within(item.join("\n"), cite, depth, { tight: true })));
  return node;
}

function table(lines, cite) {
  const [head, , ...rows] = lines.map(cells);
  if (head.length > MOST_COLUMNS || head.length * lines.length > MOST_CELLS) return element("pre", { tabindex: "0" }, withoutTokens(lines.join("\n"), cite.markers));
  return element(
    "div",
    { class: "scroll-x", tabindex: "0", role: "group" },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, head.map((cell) => element("th", { scope: "col" }, inline(cell, cite))))),
      element("tbody", {}, rows.map((row) => element("tr", {}, head.map((_, column) => element("td", {}, inline(row[column] ?? "", cite)))))),
    ),
  );
}

function cells(line) {
  const inner = line.trim().replace(/^\||\|$/g, "");
  return inner.split(/(?<!\\)\|/, MOST_COLUMNS + 1).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** The words alone, for reading aloud: no marks, no citation numbers. */
export function plainText(markdown) {
  return markdown
    .replace(/^[ \t]*(```+|~~~+).*$/gm, "")
    .replace(/(?<!\s)\s*\[\d{1,3}(?:\s?[,;]\s?\d{1,3})*\]/g, "")
    .replace(/!?\[([^[\]\n]*)\]\([^()\n]*\)/g, "$1")
    .replace(/^\s{0,3}(#{1,6}|>|[-*+])\s+/gm, "")
    .replace(/[*_~`|]+/g, "");
}
