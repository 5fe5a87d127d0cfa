// When to draw what grows, what part of it is in sight, and the way through its citations.

import { media } from "./dom.js";

const SLOW = 12; // Milliseconds: most of a frame.
const REST = 4; // Times as long as a slow drawing took, until the next.
const NEAR = 60; // Pixels from the end that still count as being there.

/**
 * Returns a function that asks for `draw`. Once per frame is as often as anyone sees; a hidden tab draws when it is
 * looked at again. What takes long to draw (a table of thousands of rows is one block) is drawn less often, so that the
 * page has time for the reader.
 */
export function paced(draw) {
  let scheduled = false;
  let taken = 0; // Milliseconds that the last drawing took.
  const work = () => {
    const started = performance.now();
    scheduled = false;
    draw();
    taken = performance.now() - started;
  };
  return () => {
    if (scheduled) return;
    scheduled = true;
    if (taken < SLOW) requestAnimationFrame(work);
    else setTimeout(() => requestAnimationFrame(work), REST * taken);
  };
}

/** Keeps the end of a log in sight while the reader is there; `button` leads back to it. */
export function createTail(scroller, button) {
  const isAtEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
  const toEnd = () => {
    scroller.scrollTop = scroller.scrollHeight;
    button.hidden = isAtEnd();
  };
  /** Draw something that may make the log longer. */
  const around = (draw) => {
    const stay = isAtEnd();
    draw();
    if (stay) toEnd();
    else button.hidden = false;
  };
  button.addEventListener("click", toEnd);
  scroller.addEventListener("scroll", () => (button.hidden = isAtEnd()));
  return { toEnd, around };
}

/** Left and right go through the citations, wherever they are in the conversation. */
export function walkCitations(log) {
  log.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !event.target.classList.contains("cite")) return;
    event.preventDefault();
    const all = [...log.querySelectorAll(".cite")];
    const next = all[all.indexOf(event.target) + step];
    next?.focus();
    next?.scrollIntoView({ block: "nearest", behavior: media.still.matches ? "auto" : "smooth" });
    if (next && !media.sheet.matches) next.click();
  });
}
