// The page's addresses: "#/name/rest…". What is open can be reloaded, linked to, and left with the browser's back button.
//
//   route("agents", (id) => …)     called with the parts after the name whenever the address becomes "#/agents/…"
//   go("agents", id)               goes there
//   address("agents", id)          the same as an href, for a real link: <a href="#/agents/agt_…">
//
// Sheets (sheets.js) have a route each; app.js has "conversations" and "runs".

const routes = new Map();
let fallback = null; // The route of an address without a name, and of one with a name that does not exist.

export function route(name, show, { isFallback = false } = {}) {
  routes.set(name, show);
  if (isFallback) fallback = name;
}

export const address = (...parts) => `#/${parts.filter(Boolean).map(encodeURIComponent).join("/")}`;

/** The address as [name, ...rest]. */
export function place() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decoded);
  return routes.has(parts[0]) ? parts : [fallback];
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // A stray "%": such an address names nothing anyway.
  }
}

/** Go somewhere; resolves when it is shown. With `replace`, the back button skips where we are now. */
export function go(...parts) {
  return move("pushState", parts);
}

export function replace(...parts) {
  return move("replaceState", parts);
}

function move(how, parts) {
  const wanted = address(...parts);
  if (wanted !== location.hash) history[how](null, "", `/${wanted}`);
  return show();
}

/** Change the address only: what it names is on show already. */
export function rename(...parts) {
  history.replaceState(null, "", `/${address(...parts)}`);
}

/** Show what the address names. */
export function show() {
  const [name, ...rest] = place();
  return routes.get(name)(...rest);
}

/** Follow the address from now on. `isOpen()` is false while there is nothing to show, as before the log-in. */
export function follow(isOpen) {
  addEventListener("popstate", () => isOpen() && show());
  // (A click on a link with "#" in it is such an event too.)
}
