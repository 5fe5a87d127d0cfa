// Markdown of an answer as DOM nodes. A small, forgiving part of CommonMark: what models write. What it does not know
// stays visible as text. Images are shown as links: loading one would let an answer call any server it likes.

import { element } from "./dom.js";

const FENCE = /^\s{0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const HEADING = /^\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^\s{0,3}([-*_])(\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^\s{0,3}>\s?(.*)$/;
const TABLE_LINE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

/** Cut a text into blocks: `[{ kind, lines }]`. Text that grows at its end changes only the last blocks. */
export function blocks(text) {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const found = [];
  let at = 0;
  const take = (kind, holds) => {
    const start = at;
    while (at < lines.length && holds(lines[at], at - start)) at += 1;
    found.push({ kind, lines: lines.slice(start, at) });
  };
  const isText = (line) =>
    line.trim() !== "" && ![FENCE, HEADING, RULE, QUOTE].some((pattern) => pattern.test(line)) && !ITEM.test(line);
  while (at < lines.length) {
    const line = lines[at];
    if (line.trim() === "") at += 1;
    else if (FENCE.test(line)) {
      const [, fence] = FENCE.exec(line);
      let open = true;
      take("code", (inner, index) => {
        if (!open) return false;
        if (index > 0 && inner.trim().startsWith(fence) && inner.trim() === inner.trim()[0].repeat(inner.trim().length)) open = false;
        return true;
      });
    } else if (HEADING.test(line)) take("heading", (_, index) => index === 0);
    else if (RULE.test(line)) take("rule", (_, index) => index === 0);
    else if (QUOTE.test(line)) take("quote", (inner) => QUOTE.test(inner));
    else if (ITEM.test(line)) {
      take("list", (inner, index) => ITEM.test(inner) || (inner.trim() === "" ? continues(lines, at) : /^\s+/.test(inner) || (index > 0 && isText(inner) && lines[at - 1].trim() !== "")));
    } else if (line.includes("|") && TABLE_LINE.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) {
      take("table", (inner) => inner.includes("|"));
    } else take("paragraph", (inner, index) => index === 0 || isText(inner));
  }
  return found;
}

// An empty line belongs to a list when the list goes on after it.
function continues(lines, at) {
  const next = lines.slice(at).find((line) => line.trim() !== "");
  return next !== undefined && (ITEM.test(next) || /^\s{2,}/.test(next));
}

/** One block as an element. `cite(n)` gives the node for the marker [n], or null where there is no such source. */
export function render({ kind, lines }, cite) {
  switch (kind) {
    case "heading": {
      const [, marks, text] = HEADING.exec(lines[0]);
      // The page's own headings are h1 and h2: an answer begins under them.
      return element(`h${Math.min(6, marks.length + 2)}`, {}, inline(text, cite));
    }
    case "rule":
      return element("hr");
    case "code": {
      const closed = lines.length > 1 && /^\s*(```+|~~~+)\s*$/.test(lines.at(-1));
      return element("pre", { tabindex: "0" }, element("code", {}, lines.slice(1, closed ? -1 : undefined).join("\n")));
    }
    case "quote":
      return element("blockquote", {}, renderAll(lines.map((line) => QUOTE.exec(line)[1]).join("\n"), cite));
    case "list":
      return list(lines, cite);
    case "table":
      return table(lines, cite);
    default:
      return element("p", {}, inline(lines.join("\n"), cite));
  }
}

export const renderAll = (text, cite) => blocks(text).map((block) => render(block, cite));

function list(lines, cite) {
  const [, indent, marker] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(marker);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) items.push([item[3]]);
    else items.at(-1).push(line.slice(Math.min(line.length - line.trimStart().length, indent.length + marker.length + 1)));
  }
  const node = element(ordered ? "ol" : "ul", ordered && parseInt(marker) !== 1 ? { start: parseInt(marker) } : {});
  for (const item of items) {
    const inner = blocks(item.join("\n"));
    // A tight item is its text, without the margins of a paragraph.
    const children = inner.map((block) => (block.kind === "paragraph" ? inline(block.lines.join("\n"), cite) : render(block, cite)));
    node.append(element("li", {}, children));
  }
  return node;
}

function table(lines, cite) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
  const [head, , ...rows] = lines.map(cells);
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

// What may begin inside a line, first match wins. Names of the groups say what it is.
const INLINE = new RegExp(
  [
    /\\(?<escaped>[!-/:-@[-`{-~])/,
    /(?<ticks>`+)(?<code>[\s\S]*?[^`])\k<ticks>(?!`)/,
    /!?\[(?<label>[^\]\n]*)\]\((?<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+"[^"]*")?\)/,
    /\[(?<numbers>\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]/,
    /(?<url>https?:\/\/[^\s<>()[\]]*[^\s<>()[\].,;:!?'"*_])/,
    /\*\*(?<strong>(?=\S)[\s\S]*?\S)\*\*(?!\*)/,
    /(?<![\p{L}\p{N}])__(?<strong2>(?=\S)[\s\S]*?\S)__(?![\p{L}\p{N}])/,
    /\*(?<em>(?=[^\s*])[\s\S]*?[^\s*])\*(?!\*)/,
    /(?<![\p{L}\p{N}])_(?<em2>(?=[^\s_])[\s\S]*?[^\s_])_(?![\p{L}\p{N}])/,
    /~~(?<struck>(?=\S)[\s\S]*?\S)~~/,
    /(?<lineBreak> {2,}\n|<br\s*\/?>)/,
  ]
    .map((pattern) => pattern.source)
    .join("|"),
  "u",
);

/** The text inside a block as a list of nodes. */
export function inline(text, cite) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const match = INLINE.exec(rest);
    if (!match) break;
    nodes.push(rest.slice(0, match.index), ...inlineNodes(match, cite));
    rest = rest.slice(match.index + match[0].length);
  }
  return [...nodes, rest].filter((node) => node !== "");
}

function inlineNodes({ 0: whole, groups: found }, cite) {
  if (found.escaped !== undefined) return [found.escaped];
  if (found.code !== undefined) return [element("code", {}, found.code.trim() || found.code)];
  if (found.label !== undefined) return [link(found.target, found.label ? inline(found.label, () => null) : found.target) ?? whole];
  if (found.numbers !== undefined) return citations(found.numbers, cite) ?? [whole];
  if (found.url !== undefined) return [link(found.url, found.url)];
  const strong = found.strong ?? found.strong2;
  if (strong !== undefined) return [element("strong", {}, inline(strong, cite))];
  const em = found.em ?? found.em2;
  if (em !== undefined) return [element("em", {}, inline(em, cite))];
  if (found.struck !== undefined) return [element("s", {}, inline(found.struck, cite))];
  return [element("br")];
}

// "[1]" and "[1, 2]"; all of them must be sources, else it is somebody's bracket and stays as it is.
function citations(numbers, cite) {
  const nodes = numbers.split(/[,;]/).map((number) => cite(Number(number)));
  return nodes.every(Boolean) ? nodes : null;
}

function link(target, children) {
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return null;
  return element("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, children);
}

/** The words alone, for reading aloud: no marks, no citation numbers. */
export function plainText(markdown) {
  return markdown
    .replace(/^\s*(```+|~~~+).*$/gm, "")
    .replace(/\s*\[\d{1,3}(?:\s*[,;]\s*\d{1,3})*\]/g, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/^\s{0,3}(#{1,6}|>|[-*+])\s+/gm, "")
    .replace(/[*_~`|]+/g, "");
}
