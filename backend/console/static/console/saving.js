// Answers and conversations as Markdown, to be copied or saved. Sources stand as notes under the answer that cites them.

import { element } from "./dom.js";
import { t } from "./i18n.js";
import { textOf } from "./parts.js";

/** An answer with its sources. */
export function asMarkdown(message) {
  const seen = new Set();
  const sources = message.citations.map((citation) => {
    const { n, document_name: name, page_from: page, quote } = citation;
    const where = page ? `${name}, ${t("citation.pageShort", { page })}` : name;
    return `- [${n}] ${where}: “${quote.replace(/\s+/g, " ").trim()}”`;
  });
  const notes = sources.filter((line) => !seen.has(line) && seen.add(line));
  return [textOf(message), ...(notes.length ? [notes.join("\n")] : [])].join("\n\n");
}

/** Save a conversation as a file. */
export function saveConversation(title, messages) {
  const texts = messages.map((message) => `**${t(message.role === "user" ? "message.yours" : "message.theirs")}**\n\n${asMarkdown(message)}`);
  const url = URL.createObjectURL(new Blob([`# ${title}\n\n${texts.join("\n\n")}\n`], { type: "text/markdown" }));
  element("a", { href: url, download: `${title.replace(/[^\p{L}\p{N} ._-]/gu, "").slice(0, 80)}.md` }).click();
  URL.revokeObjectURL(url);
}
