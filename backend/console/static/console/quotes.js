// Where a quote stands in a passage, and which part of its page to mark for it.

const LONGEST_QUOTE = 10_000; // Characters.

/** What to mark for a citation: its own span and boxes, or, in old messages, what its quote covers of the passage. */
export function markOf(citation, chunk) {
  const { char_start: start, char_end: end, boxes } = citation;
  if (!Number.isInteger(start)) return chunk && markedRange(chunk, citation.quote);
  return { start, end, boxes: boxesWithin(boxes?.length ? boxes : chunk?.boxes ?? [], start, end, chunk) };
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

/** Find a quote with any white space, case, punctuation and hyphens at line ends: models do not copy those faithfully. */
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
export const slice = (text, from, to) => Array.from(text).slice(from, to).join("");

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
