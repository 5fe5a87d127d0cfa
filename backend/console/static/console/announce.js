// Reads new text aloud politely, sentence by sentence. The visible text changes with every token; a screen reader that
// followed it would stammer. So the visible log is not live, and whole sentences are copied into a region that is.

import { plainText } from "./markdown.js";
import { element, find } from "./dom.js";

const KEPT = 20; // Sentences that stay in the region: enough to be read, few enough to be light.

export function announce(text) {
  const region = find("#announcements");
  region.append(element("p", {}, text));
  while (region.children.length > KEPT) region.firstChild.remove();
}

/** A reader for one answer: give it the whole text so far, as often as it grows, and `finish()` at the end. */
export function sentenceReader() {
  let read = 0;
  let latest = "";
  const upTo = (end) => {
    const sentence = latest.slice(read, end).trim();
    read = end;
    if (sentence) announce(sentence);
  };
  return {
    grow(markdown) {
      latest = plainText(markdown);
      // The end of a sentence: a full stop with a space after it, or a line's end.
      const ends = /[.!?…:]["”»)]*\s|\n/g;
      ends.lastIndex = read;
      let end = 0;
      for (let match = ends.exec(latest); match; match = ends.exec(latest)) end = match.index + match[0].length;
      if (end > read) upTo(end);
    },
    finish() {
      upTo(latest.length);
    },
  };
}
