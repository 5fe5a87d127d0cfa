// The marks inside the text of a block: emphasis, code, links, citations. For any text, the work grows with its
// length: each mark is looked at once, where it closes is looked for once and remembered, and marks nest only so deep.

import { withoutTokens } from "./citations.js";
import { element } from "./dom.js";

const DEEPEST = 8; // Marks within marks.
const LONGEST = 20_000; // Characters of one block that may hold marks; the rest is text.
const LONGEST_MARKER = 200;

// Where something may begin. A line break is looked for from the first of its spaces only.
const BEGINS = /[\\`[*_~\uFDD0]|!\[|https?:\/\/|<br\s{0,8}\/?>|(?<! ) {2,}\n/g;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const TICKS = /`+/g;
const TARGET = /\(([^()\s]{0,2000}(?:\([^()\s]{0,2000}\)[^()\s]{0,2000}){0,20})(?:\s{1,20}"[^"]{0,1000}")?\)/y;
const TOKEN = /\uFDD0(\d{1,6})\uFDD1/y; // From citations.js.
const NUMBERS = /^\d{1,3}(?:\s*[,;]\s*\d{1,3})*$/;
const ADDRESS = /https?:\/\/[^\s<>()[\]]{1,2000}/y;
const AFTER_ADDRESS = new Set(".,;:!?'\"*_");

// What closes says nothing of where it opened: so the next one is the same for all that are open.
const PAIRS = [
  { tag: "strong", opens: /\*\*(?=\S)/y, closes: /(?<=[^\s\\])\*\*(?!\*)/g },
  { tag: "em", opens: /\*(?=[^\s*])/y, closes: /(?<=[^\s*\\])\*(?!\*)/g },
  { tag: "strong", opens: /(?<![\p{L}\p{N}])__(?=\S)/uy, closes: /(?<=[^\s\\])__(?![\p{L}\p{N}])/gu },
  { tag: "em", opens: /(?<![\p{L}\p{N}])_(?=[^\s_])/uy, closes: /(?<=[^\s_\\])_(?![\p{L}\p{N}])/gu },
  { tag: "s", opens: /~~(?=\S)/y, closes: /(?<=\S)~~/g },
];

/**
 * The text inside a block as a list of nodes. `cite(n)` gives the node for the marker [n], or null; `cite(null, index)`
 * that of the citation whose token stands here; `cite.markers` are the texts of those tokens.
 */
export function inline(text, cite, depth = 0) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  const marks = new Marks(text.slice(0, LONGEST));
  let written = 0; // Up to here the text is in `nodes`.
  for (let begin = marks.from(0); begin; ) {
    const at = begin.index;
    const found = read(marks, at, begin[0], cite, depth);
    if (found.nodes) {
      if (at > written) nodes.push(text.slice(written, at));
      nodes.push(...found.nodes);
      written = found.end;
    }
    begin = marks.from(found.end);
  }
  if (written < text.length) nodes.push(text.slice(written));
  return nodes;
}

/** What begins at a place: its nodes and its end; or, without nodes, where to look on. */
function read(marks, at, mark, cite, depth) {
  const { text } = marks;
  if (mark === "\\") return PUNCTUATION.test(text[at + 1] ?? "") ? { nodes: [text[at + 1]], end: at + 2 } : { end: at + 1 };
  if (mark === "\uFDD0") return token(text, at, cite);
  if (mark === "`") return code(marks, at, cite);
  if (mark === "[" || mark === "![") return bracket(marks, at, mark, cite, depth);
  if (mark.startsWith("http")) return address(text, at);
  if (mark.length > 1) return { nodes: [element("br")], end: at + mark.length };
  for (const pair of PAIRS) {
    const length = opened(pair, text, at);
    const close = length ? marks.close(pair, at + length + 1) : -1;
    if (close < 0) continue;
    const end = close + length;
    return { nodes: [element(pair.tag, {}, inline(text.slice(at + length, close), cite, depth + 1))], end };
  }
  return { end: at + 1 };
}

function opened({ opens }, text, at) {
  opens.lastIndex = at;
  return opens.exec(text)?.[0].length ?? 0;
}

function token(text, at, cite) {
  TOKEN.lastIndex = at;
  const found = TOKEN.exec(text);
  if (!found) return { end: at + 1 };
  return { nodes: [cite(null, Number(found[1])) ?? withoutTokens(found[0], cite.markers)], end: at + found[0].length };
}

/** As `cite`, where nothing is a source: inside a link. */
const without = (cite) => Object.assign(() => null, { markers: cite.markers });

function code(marks, at, cite) {
  const length = marks.ticksAt(at);
  const close = marks.closingTicks(at, length);
  if (close < 0) return { end: at + length };
  const inner = withoutTokens(marks.text.slice(at + length, close), cite.markers);
  return { nodes: [element("code", {}, inner.trim() || inner)], end: close + length };
}

/** A link, an image (shown as a link) or a citation. */
function bracket(marks, at, mark, cite, depth) {
  const { text } = marks;
  const start = at + mark.length;
  const close = marks.next("]", start);
  if (close < 0) return { end: at + mark.length };
  const label = text.slice(start, close);
  const target = marks.next("\n", start) !== -1 && marks.next("\n", start) < close ? null : marks.target(close + 1);
  if (target) {
    const whole = text.slice(at, target.end);
    return { nodes: [link(target.address, label ? inline(label, without(cite), depth + 1) : target.address) ?? whole], end: target.end };
  }
  if (mark === "[" && label.length <= LONGEST_MARKER && NUMBERS.test(label)) {
    return { nodes: citations(label, cite) ?? [text.slice(at, close + 1)], end: close + 1 };
  }
  return { end: at + 1 };
}

// "[1]" and "[1, 2]"; all of them must be sources, else the brackets are the writer's and stay as they are.
function citations(numbers, cite) {
  const nodes = numbers.split(/[,;]/).map((number) => cite(Number(number)));
  return nodes.every(Boolean) ? nodes : null;
}

function address(text, at) {
  ADDRESS.lastIndex = at;
  const found = ADDRESS.exec(text)?.[0] ?? "";
  let length = found.length;
  while (AFTER_ADDRESS.has(found[length - 1])) length -= 1;
  if (!length || found.slice(0, length).endsWith("://")) return { end: at + 4 };
  return { nodes: [link(found.slice(0, length), found.slice(0, length))], end: at + length };
}

function link(target, children) {
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return null;
  return element("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, children);
}

/** The marks of one text. Answers are remembered, so that asking again from further on scans no part of it twice. */
class Marks {
  constructor(text) {
    this.text = text;
    this.known = new Map(); // What was looked for: { from, at }.
    this.targets = new Map();
  }

  from(index) {
    BEGINS.lastIndex = index;
    return BEGINS.exec(this.text);
  }

  next(mark, from) {
    return this.remembered(mark, from, () => this.text.indexOf(mark, from));
  }

  close({ closes }, from) {
    return this.remembered(closes, from, () => {
      closes.lastIndex = from;
      return closes.exec(this.text)?.index ?? -1;
    });
  }

  remembered(what, from, look) {
    const known = this.known.get(what);
    if (known && known.from <= from && (known.at < 0 || from <= known.at)) return known.at;
    const at = look();
    this.known.set(what, { from, at });
    return at;
  }

  /** What stands in parentheses behind a label. Many brackets may be open before the one that closes. */
  target(at) {
    if (this.text[at] !== "(") return null;
    if (!this.targets.has(at)) {
      TARGET.lastIndex = at;
      const found = TARGET.exec(this.text);
      this.targets.set(at, found && { address: found[1], end: at + found[0].length });
    }
    return this.targets.get(at);
  }

  ticksAt(at) {
    TICKS.lastIndex = at;
    return TICKS.exec(this.text)[0].length;
  }

  /** The next run of exactly so many ticks. */
  closingTicks(at, length) {
    if (!this.runs) {
      this.runs = new Map();
      for (const { 0: run, index } of this.text.matchAll(TICKS)) {
        if (!this.runs.has(run.length)) this.runs.set(run.length, { starts: [], next: 0 });
        this.runs.get(run.length).starts.push(index);
      }
    }
    const run = this.runs.get(length);
    if (!run) return -1;
    while (run.starts[run.next] <= at) run.next += 1;
    return run.starts[run.next] ?? -1;
  }
}
