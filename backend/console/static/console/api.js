// Talks to the API: tokens and their refresh, errors as problem+json, idempotency keys, request ids.
//
// Tokens live in localStorage, so that every tab and every reload is the same log-in. What protects them is the
// Content-Security-Policy of this page: no script but its own files runs here.

import { language } from "./i18n.js";

const TOKENS = "orquestra.tokens";
const REFRESH_BEFORE_MS = 30_000; // A token this close to its end could expire on its way.

/** A refusal or failure. `code` is stable and never translated; `message` is a sentence for people. */
export class ApiError extends Error {
  constructor({ status = 0, code = "network", detail, title, errors = [], request_id: requestId = null, ...extra }) {
    super(detail || title || code);
    Object.assign(this, { status, code, errors, requestId, extra });
  }
}

// The log-in -----------------------------------------------------------------------------------------------------------

let onEnd = () => {};

/** Be told when the log-in ends: with "elsewhere" (another tab), "expired" (the server ended it) or "here". */
export function whenSignedOut(listener) {
  onEnd = listener;
}

const stored = () => JSON.parse(localStorage.getItem(TOKENS) ?? "null");

export const signedIn = () => stored() !== null;

/** The id of this log-in among the person's sessions. */
export const sessionId = () => claims(stored().access).sid;

/** Keep the tokens of a log-in. Its end is counted from now, by this clock, so that a wrong clock does no harm. */
export function keep({ access_token: access, refresh_token: refresh }) {
  const { exp, iat, sub } = claims(access);
  localStorage.setItem(TOKENS, JSON.stringify({ access, refresh, sub, ends: Date.now() + (exp - iat) * 1000 }));
}

export function forget(reason) {
  localStorage.removeItem(TOKENS);
  onEnd(reason);
}

function claims(token) {
  const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(atob(payload));
}

// Storage events come from other tabs only: one of them logged out, or somebody else logged in there.
window.addEventListener("storage", ({ key, oldValue, newValue }) => {
  if (key !== TOKENS && key !== null) return;
  if (!newValue) onEnd("elsewhere");
  else if (oldValue && JSON.parse(oldValue).sub !== JSON.parse(newValue).sub) location.reload();
});

/** An access token that is good for a while; `refused` is one that the server has just turned down. */
export async function accessToken(refused = null) {
  const good = (tokens) => tokens && tokens.access !== refused && tokens.ends - Date.now() > REFRESH_BEFORE_MS;
  if (good(stored())) return stored().access;
  // A refresh token is used once. The lock is the browser's, over all tabs: whoever comes second finds new tokens. What
  // a tab stores may reach another one a moment after the lock does; the server then honours the token before.
  return exclusively("orquestra.refresh", async () => {
    const tokens = stored();
    if (good(tokens)) return tokens.access;
    if (!tokens) throw new ApiError({ status: 401, code: "not_authenticated" });
    const response = await send("POST", "/api/v1/tokens/refresh", { json: { refresh_token: tokens.refresh } });
    if (response.status >= 400 && response.status < 500 && response.status !== 429) {
      forget("expired");
      throw await problem(response);
    }
    if (!response.ok) throw await problem(response);
    keep((await response.json()).data);
    return stored().access;
  });
}

function exclusively(name, work) {
  // Locks exist only in secure contexts (https or localhost). Without them two tabs may refresh at once, which the
  // server allows for half a minute.
  return navigator.locks ? navigator.locks.request(name, work) : work();
}

// Requests -------------------------------------------------------------------------------------------------------------

/** A random name for one request, or for one intention that may take several requests. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID() exists only in secure contexts.
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const commonHeaders = () => ({ "Accept-Language": language, "X-Request-ID": randomKey() });

let underWay = new AbortController(); // Of all requests but those of a log-out.

/** Break off what is under way, before the log-in ends: the server would refuse it. */
export function breakOff() {
  underWay.abort();
  underWay = new AbortController();
}

const either = (signal) => (signal && AbortSignal.any ? AbortSignal.any([signal, underWay.signal]) : signal ?? underWay.signal);

async function send(method, path, { json, headers = {}, signal } = {}) {
  const { pathname, search } = new URL(path, location); // The next page is named with the host that the server knows.
  try {
    return await fetch(pathname + search, {
      method,
      signal: either(signal),
      headers: { ...commonHeaders(), ...(json === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: json === undefined ? undefined : JSON.stringify(json),
      credentials: "omit", // The bearer token is the only credential; no cookie, hence no CSRF.
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError({ code: "network" });
  }
}

async function problem(response) {
  const body = await response.json().catch(() => ({}));
  const retryAfter = Number(response.headers.get("Retry-After")) || null;
  return new ApiError({ ...body, status: response.status, code: body.code ?? `http_${response.status}`, retryAfter });
}

/** Send a request as the person logged in; a token that ends meanwhile is renewed once. Resolves to the Response. */
export async function authorized(method, path, options = {}) {
  const attempt = async (token) =>
    send(method, path, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } });
  const token = await accessToken();
  let response = await attempt(token);
  if (response.status === 401) response = await attempt(await accessToken(token));
  if (response.status === 401) forget("expired");
  if (!response.ok) throw await problem(response);
  return response;
}

const body = async (response) => (response.status === 204 ? null : response.json());

export const get = async (path, options) => body(await patiently(() => authorized("GET", path, options)));

/** Every object of a list, over all its pages. For lists that are short by nature. */
export async function getAll(path) {
  const found = [];
  for (let next = path; next; ) {
    const page = await get(next);
    found.push(...page.results);
    ({ next } = page);
  }
  return found;
}

export const put = async (path, json) => body(await patiently(() => authorized("PUT", path, { json })));
export const patch = async (path, json) => body(await patiently(() => authorized("PATCH", path, { json })));
export const remove = async (path) => body(await authorized("DELETE", path));

/**
 * POST what creates or spends. `key` names the intention: sent again with the same key after a lost answer, it gives
 * the first answer instead of doing the work twice.
 */
export async function post(path, json = {}, key = randomKey()) {
  return body(await patiently(() => authorized("POST", path, { json, headers: { "Idempotency-Key": key } })));
}

/** The same for what starts a run: a Response whose body is the run's event stream, and whose headers name the run. */
export function postForStream(path, json, key) {
  const headers = { Accept: "text/event-stream", "Idempotency-Key": key };
  return patiently(() => authorized("POST", path, { json, headers }));
}

// The last: the answer of the first attempt got lost, and the server is still at it.
const PASSING = new Set(["network", "service_unavailable", "idempotency_in_progress"]);

const LONGEST_WAIT = 15; // Seconds.

/**
 * Try again, twice, what failed on its way: a network that changed, a server that is being restarted. With `waits` also
 * what came too soon after others of its kind.
 */
async function patiently(work, { waits = false } = {}) {
  for (const milliseconds of [500, 1500]) {
    try {
      return await work();
    } catch (error) {
      const tooSoon = waits && error.code === "rate_limited" && error.extra.retryAfter <= LONGEST_WAIT;
      if (!tooSoon && !PASSING.has(error.code)) throw error;
      await new Promise((resolve) => setTimeout(resolve, tooSoon ? error.extra.retryAfter * 1000 : milliseconds));
    }
  }
  return work();
}

/** A file behind the bearer token, as a blob: URL that an <img> can show. Whoever asks must revoke it. */
export async function blobUrl(path, options) {
  const response = await patiently(() => authorized("GET", path, options), { waits: true });
  return URL.createObjectURL(await response.blob());
}

/**
 * Requests without a log-in, for the entrance: the body, or an ApiError. `sessionToken` goes on with a log-in of several
 * steps: it is in the error's `extra.meta` of the step before.
 */
export async function open(path, json, { sessionToken } = {}) {
  const response = await send("POST", path, { json, headers: sessionToken ? { "X-Session-Token": sessionToken } : {} });
  if (!response.ok) throw await problem(response);
  return response.json();
}
