// A conversation as a tree: an answer that is given anew, or a question that is asked in other words, begins a branch.
// Messages are a list, oldest first, each naming its parent. No DOM here: copy it into any front end.

/** The messages from the first one to `leaf`. */
export function pathTo(messages, leaf) {
  const byId = new Map(messages.map((message) => [message.id, message]));
  const path = [];
  for (let message = byId.get(leaf); message; message = byId.get(message.parent)) path.unshift(message);
  return path;
}

/** The message and those that stand in its place on other branches, oldest first. */
export const alternatives = (messages, { parent, role }) => messages.filter((other) => other.parent === parent && other.role === role);

/** The end of the newest branch that goes through a message. */
export function newestThrough(messages, { id }) {
  const child = messages.findLast(({ parent }) => parent === id);
  return child ? newestThrough(messages, child) : id;
}

/** What stands for a question and its answer until the server has named them; without `text`, the answer alone. */
export function placeholders({ key, text, parent }) {
  const common = { citations: [], run: null, created_at: new Date().toISOString() };
  const question = { ...common, id: `new-${key}`, role: "user", status: "complete", parent, parts: [{ type: "text", text }] };
  const answer = { ...common, id: `answer-${key}`, role: "assistant", status: "streaming", parent: text ? question.id : parent, parts: [] };
  return text ? [question, answer] : [answer];
}
