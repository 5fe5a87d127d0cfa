// Reads new text aloud politely, sentence by sentence. The visible text changes with every token; a screen reader that
// followed it would stammer. So the visible log is not live, and whole sentences are copied into a region that is.

import { plainText } from "./markdown.js";
import { element, find } from "./dom.js";

const LONGEST = 5_000; // Characters that are read at once.
const KEPT = 20; // Sentences that stay in the region: enough to be read, few enough to be light.

export function announce(text) {
  const region = find("#announcements");
  region.append(element("p", {}, text));
  while (region.children.length > KEPT) region.firstChild.remove();
}

/** A reader for one answer: give it the whole text so far, as often as it grows, and `finish()` at the end. */
export function sentenceReader() {
  // The end of a sentence: a full stop with a space after it, or a line's end.
  const ends = /[.!?…:]["”»)]{0,9}\s|\n/g;
  let read = 0; // Up to here it was read aloud.
  let looked = 0; // Up to here there is no other end.
  let latest = "";
  const upTo = (end) => {
    const sentence = plainText(latest.slice(read, Math.min(end, read + LONGEST))).trim();
    read = end;
    if (sentence) announce(sentence);
  };
  return {
    grow(markdown) {
      latest = markdown;
      if (latest.length < read) read = looked = 0; // Another worker began again.
      ends.lastIndex = Math.max(read, looked - 10); // An end may have been cut in two.
      let end = 0;
      for (let match = ends.exec(latest); match; match = ends.exec(latest)) end = match.index + match[0].length;
      looked = latest.length;
      if (end > read) upTo(end);
    },
    finish() {
      upTo(latest.length);
    },
  };
}
