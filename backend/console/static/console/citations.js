// Which citation a marker in an answer's text belongs to. Each has the place of its own marker: `part`, and `start` and
// `end` within the part's text, counted in characters. Old messages have no places: there the number alone decides.
// No DOM here: copy it into any front end.

// Two code points that no text may hold (Unicode calls them noncharacters) enclose the index of a citation.
const OPENS = "\uFDD0";
const CLOSES = "\uFDD1";
const TOKEN = /\uFDD0(\d{1,6})\uFDD1/g;

/**
 * The Markdown of an answer in which every marker that has a place is a token, for inline.js to make a button of.
 * Returns { text, markers }: `markers[index]` is the text that the token of citation `index` stands for.
 */
export function withTokens({ parts, citations }) {
  const markers = [];
  const texts = parts.map(({ type, text }, part) => (type === "text" ? replaced(text, placesIn(citations, part), markers) : null));
  return { text: texts.filter((text) => text !== null).join("\n\n"), markers };
}

/** The text with its tokens turned back into the markers: for code, where a number in brackets is a number. */
export const withoutTokens = (text, markers = []) => text.replace(TOKEN, (_, index) => markers[index] ?? "");

export const hasPlaces = ({ citations }) => citations.some(({ start }) => Number.isInteger(start));

/** The citations of one part by their place: [{ start, end, indices }], in order; several may share a marker. */
function placesIn(citations, part) {
  const places = new Map();
  for (const [index, { part: where, start, end }] of citations.entries()) {
    if (!Number.isInteger(start) || (where ?? part) !== part || !(end > start)) continue;
    if (!places.has(start)) places.set(start, { start, end, indices: [] });
    places.get(start).indices.push(index);
  }
  return [...places.values()].sort((one, other) => one.start - other.start);
}

function replaced(text, places, markers) {
  const pieces = [];
  const unit = unitsOf(text);
  let written = 0;
  for (const { start, end, indices } of places) {
    const [from, to] = [unit(start), unit(end)];
    if (from < written || to > text.length) continue; // Its text has yet to come.
    pieces.push(text.slice(written, from));
    for (const [order, index] of indices.entries()) {
      markers[index] = order === 0 ? text.slice(from, to) : "";
      pieces.push(`${OPENS}${index}${CLOSES}`);
    }
    written = to;
  }
  return pieces.join("") + text.slice(written);
}

/** From a place in characters to one in UTF-16 units, of which an emoji is two. Ask for places in their order. */
function unitsOf(text) {
  if (!/[\ud800-\udfff]/.test(text)) return (place) => place;
  let [characters, units] = [0, 0];
  return (place) => {
    for (; characters < place && units < text.length; characters += 1) units += text.codePointAt(units) > 0xffff ? 2 : 1;
    return characters < place ? Infinity : units;
  };
}
