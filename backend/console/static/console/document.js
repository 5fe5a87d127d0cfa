// One document in words: its state, what went wrong with it, what kind of file it is. Used by the list and the library.

import { element } from "./dom.js";
import { bytes, count, date, duration, t, tryText } from "./i18n.js";

export const ENDED = new Set(["ready", "failed", "cancelled"]);
const TIME_SHOWN_MS = 5000; // How long a document shows in what time it became ready.

const PAGES = /\d+(?:–\d+)?/g; // In the detail of a warning: "Page 3 is damaged", "the text of pages 2–4".

export const whyFailed = ({ error }) => tryText(`unread.${error?.code}`) ?? t("unread.other");

/** One sentence per kind of warning; the pages that it is about are gathered. */
export function warningsOf({ warnings }) {
  const byCode = Map.groupBy(warnings ?? [], ({ code }) => code);
  return [...byCode].map(([code, each]) => {
    const pages = each.flatMap(({ detail }) => detail?.match(PAGES) ?? []);
    const where = pages.length ? t("warning.pages", { pages: pages.join(", ") }) : "";
    return tryText(`warning.${code}`, { where }) ?? t("warning.other", { where });
  });
}

const KINDS = {
  "application/pdf": "PDF",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "DOCX",
  "text/markdown": "Markdown",
  "text/html": "HTML",
};

/** "PDF, 3 pages, 1.2 MB, 28 Nov 2026" */
export function factsOf({ content_type: type, page_count: pages, size, created_at: at }) {
  return [KINDS[type] ?? t("document.text"), pages ? count("pages", pages) : null, bytes(size), date(at)].filter(Boolean).join(", ");
}

/** The state as a badge, and progress as a bar; `update(document, took)` with the time that it took, if it was watched. */
export function createState() {
  const badge = element("span", { class: "badge-status" });
  const bar = element("span", { class: "bar-progress", hidden: true }, element("span"));
  function update({ status, progress, warnings }, took = null) {
    const total = progress?.pages_total ?? 0;
    const done = progress?.pages_done ?? 0;
    const counting = !ENDED.has(status) && total > 0;
    const doubtful = status === "ready" && warnings?.length > 0;
    const state = t(doubtful ? "status.doubtful" : `status.${status}`);
    badge.className = `badge-status ${doubtful ? "doubtful" : ENDED.has(status) ? status : "working"}`;
    badge.textContent = counting && done < total ? t("document.progress", { done, total }) : state;
    if (status === "ready" && took !== null) {
      badge.textContent = `${state} · ${duration(took)}`;
      setTimeout(() => (badge.textContent = state), TIME_SHOWN_MS);
    }
    bar.hidden = !counting;
    bar.firstChild.style.width = counting ? `${(100 * done) / total}%` : "0";
    return counting;
  }
  return { badge, bar, update };
}
