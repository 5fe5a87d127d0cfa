// Server-sent events over fetch. EventSource cannot send an Authorization header; this does, and resumes where it was.

import { authorized } from "./api.js";

const SILENCE_MS = 40_000; // The server sends a comment every 15 s; two missed and a bit means a dead connection.
const LONGEST_WAIT_MS = 8_000;
const CLOSING_MS = 2_000; // After the last event, the server ends the response; a connection that stays open is cut then.

/**
 * Follow `path` until an event for which `ends` is true, or until `signal` aborts.
 *
 * Every event is given to `onEvent({ id, event, data })` exactly once and in order, over as many connections as it
 * takes: each new one asks for what came after the last id. `onConnection(true | false)` reports whether it is connected.
 * Rejects only when asking again is pointless (the object is gone, the log-in has ended).
 *
 * `first` is the Response of a request that began the stream, such as the POST of a question: its body is read first.
 */
export async function follow(path, { ends, onEvent, onConnection = () => {}, signal, first = null }) {
  let lastId = null;
  let failures = 0;
  const seen = new Set(); // A server may repeat events at the seam; ids tell.

  while (!signal?.aborted) {
    const connection = new AbortController();
    const stop = () => connection.abort();
    signal?.addEventListener("abort", stop);
    let ended = false;
    let watchdog = setTimeout(stop, SILENCE_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) };
      const response = first ?? (await authorized("GET", path, { headers, signal: connection.signal }));
      first = null;
      onConnection(true);
      for await (const frame of frames(response.body, connection.signal, () => {
        if (ended) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(stop, SILENCE_MS);
      })) {
        if (ended) continue;
        failures = 0;
        if (frame.id !== null) {
          // A snapshot has the id of the last event that it includes; a reader that comes back may get the end again.
          if (seen.has(frame.id) && frame.event !== "snapshot" && !ends(frame)) continue;
          seen.add(frame.id);
          lastId = frame.id;
        }
        onEvent(frame);
        if (ends(frame)) {
          // Read on to the end of the response: cancelled, a whole answer would count as a failed request.
          ended = true;
          clearTimeout(watchdog);
          watchdog = setTimeout(stop, CLOSING_MS);
        }
      }
    } catch (error) {
      if (signal?.aborted || ended) return;
      if (error.status >= 400 && error.status < 500 && error.status !== 429) throw error;
    } finally {
      clearTimeout(watchdog);
      signal?.removeEventListener("abort", stop);
      connection.abort(); // Leaving the loop early must not leave the connection open.
    }
    if (signal?.aborted || ended) return;
    onConnection(false);
    failures += 1;
    await pause(Math.min(LONGEST_WAIT_MS, 250 * 2 ** failures) * (0.75 + Math.random() / 2), signal);
  }
}

/** Wait, but not longer than until the network comes back or the follower stops. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    signal?.addEventListener("abort", done);
  });
}

/**
 * The frames of a text/event-stream: `{ id, event, data }`, data parsed as JSON. Comments only call `onBytes`. `signal`
 * ends the stream and its connection.
 */
async function* frames(stream, signal, onBytes) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  const cancel = () => reader.cancel().catch(() => {}); // It fails when the connection is broken already.
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  let buffer = "";
  let half = false; // The buffer ends in what may be half of a \r\n.
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return; // A frame that was cut off is not dispatched; it comes again on the next connection.
    onBytes();
    buffer += value;
    const inside = !half && !/[\r\n]/.test(value);
    half = value.endsWith("\r");
    if (inside) continue; // The middle of a large frame.
    // A frame ends at an empty line. A lone \r at the end may be half of a \r\n, so it waits for the next piece.
    const pieces = buffer.split(/\r\n\r\n|\n\n|\r\r(?!$)/);
    buffer = pieces.pop();
    for (const piece of pieces) {
      const frame = parse(piece);
      if (frame) yield frame;
    }
  }
}

function parse(text) {
  const frame = { id: null, event: "message", data: [] };
  for (const line of text.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(":");
    if (colon === 0) continue; // A comment.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") frame.data.push(value);
    else if (field === "id" || field === "event") frame[field] = value;
  }
  return frame.data.length ? { ...frame, data: JSON.parse(frame.data.join("\n")) } : null;
}
