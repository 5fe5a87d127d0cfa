// An answer while it grows: what each event of a run does to its message. No DOM here.

/** Events after which nothing comes. */
export const ENDS = new Set(["run.completed", "run.failed", "run.cancelled"]);

const STATUS = { "run.completed": "complete", "run.failed": "failed", "run.cancelled": "interrupted" };

/** The ids of question and answer, if the event has them: the first one of a stream does. */
export function namedBy(event, data) {
  if (event === "run.queued") return { asked: data.run.input_message, answer: data.run.output_message };
  if (event === "snapshot") return { asked: data.messages[0].id, answer: data.messages.at(-1).id };
  return null;
}

/** The message after `event`. Parts are only ever appended, and only the last one grows. */
export function apply(message, event, data) {
  switch (event) {
    case "message.started": // Also when another worker begins again: what was there does not count.
      return { ...message, parts: [], citations: [], status: "streaming" };
    case "snapshot":
      return data.messages.find(({ id }) => id === message.id) ?? message;
    case "message.completed":
      return data.message;
    case "text.delta":
      return { ...message, parts: grown(message.parts, "text", data) };
    case "reasoning.delta":
      return { ...message, parts: grown(message.parts, "reasoning", data) };
    case "tool.call":
      return { ...message, parts: [...message.parts, { type: "tool_call", ...data }] };
    case "tool.result":
      return { ...message, parts: message.parts.map((part) => (part.id === data.id ? { ...part, ...data } : part)) };
    case "knowledge.pending": // What the agent knows is still being read; again whenever the numbers change.
      return { ...message, knowledge: { total: data.total, ready: data.ready, failed: data.failed, waiting: data.waiting } };
    case "run.started":
      return data.run.knowledge ? { ...message, knowledge: { ...data.run.knowledge, waiting: false } } : message;
    case "citation.added":
      return { ...message, citations: [...message.citations, data.citation] };
    default: {
      if (!(event in STATUS) || message.status !== "streaming") return message;
      return { ...message, status: STATUS[event], cost: data.run.cost, usage: data.run.usage, error: data.run.error };
    }
  }
}

function grown(parts, type, { part, delta }) {
  const before = parts[part];
  if (before?.type !== type) return [...parts, { type, text: delta }];
  return parts.with(part, { ...before, text: before.text + delta });
}

/** What the agent looked at, for the line above the answer: { searching, searched, documents, passages }. */
export function activity({ parts, status }) {
  const searches = parts.filter(({ type, name }) => type === "tool_call" && name === "search_knowledge");
  const passages = searches.flatMap(({ output }) => passagesOf(output));
  return {
    searching: status === "streaming" && searches.some(({ output, error }) => output === undefined && error === undefined),
    searched: searches.length > 0,
    documents: new Set(passages.map(({ document }) => document)).size,
    passages: new Set(passages.map(({ n }) => n)).size,
  };
}

function passagesOf(output) {
  try {
    return (typeof output === "string" ? JSON.parse(output) : output)?.passages ?? [];
  } catch {
    return [];
  }
}
