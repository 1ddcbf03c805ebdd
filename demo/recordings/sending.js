/* Sends one file by the tus protocol: in pieces, and after a lost connection or a reload from where it was.
 *
 * Owns what this browser remembers of unfinished uploads. A piece that the server has is never sent again.
 */

import { ServerError, address, request, token } from "../api.js";

const KEY = "host-stt.uploads";
const REMEMBERED_MAX = 50;
const PIECE_BYTES = 16 * 1024 * 1024; // many proxies refuse a much longer body
const WAITS_S = [1, 2, 4, 8, 15];
const PASSING = [0, 408, 409, 423, 429]; // and 500 to 599: the same request may succeed later

/** Uploads that this browser began and did not finish: [{key, name, size, path}]. */
export function unfinished() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

function remember(entries) {
  try {
    localStorage.setItem(KEY, JSON.stringify(entries.slice(-REMEMBERED_MAX)));
  } catch {
    // Without storage, an upload goes on after a lost connection, but not after a reload.
  }
}

export function forget(key) {
  remember(unfinished().filter((one) => one.key !== key));
}

export function keyOf(file) {
  return `${file.name}/${file.size}/${file.lastModified}`;
}

/** The part of an unfinished upload that the server has, 0 to 1; null: the server has it no longer. */
export async function partOf(entry) {
  const { status, header } = await send("HEAD", entry.path);
  if (status !== 200) return null;
  return entry.size ? Number(header("Upload-Offset")) / entry.size : 0;
}

/** Remove an unfinished upload from the server and from this browser. */
export async function discard(entry) {
  forget(entry.key);
  await send("DELETE", entry.path).catch(() => {}); // the server removes it later by itself
}

export class Sending {
  #path = "";
  #stop = new AbortController();

  /** options: the fields of a job. onPart(part): 0 to 1 has arrived. onWait(): the connection is lost; it goes on. */
  constructor(file, options, { onPart, onWait }) {
    Object.assign(this, { file, options, onPart, onWait });
    this.key = keyOf(file);
    this.#path = unfinished().find((one) => one.key === this.key)?.path ?? "";
  }

  stop() {
    this.#stop.abort();
  }

  /** Send everything; returns the job. Throws ServerError, and an AbortError after `stop`. */
  async run() {
    for (let tries = 0; ; tries += 1) {
      try {
        const job = await this.#try(() => (tries = 0));
        forget(this.key);
        return job;
      } catch (error) {
        if (error.name === "AbortError") {
          await discard({ key: this.key, path: this.#path });
          throw error;
        }
        const isPassing = PASSING.includes(error.status) || error.status >= 500;
        if (!isPassing) {
          if (error.code !== "bad_token") forget(this.key);
          throw error;
        }
        this.onWait();
        await pause(WAITS_S[Math.min(tries, WAITS_S.length - 1)], this.#stop.signal);
      }
    }
  }

  async #try(onProgress) {
    const { file } = this;
    let answer = this.#path ? await this.#send("HEAD") : null;
    if (answer?.status === 404 || answer?.status === 410) answer = null;
    if (answer === null) {
      await this.#begin();
      answer = await this.#send("HEAD");
    }
    for (let at = offsetOf(checked(answer)); at < file.size || !answer.header("Location"); ) {
      const end = Math.min(file.size, at + PIECE_BYTES);
      this.onPart(at / file.size);
      const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(at) };
      answer = checked(await this.#send("PATCH", headers, file.slice(at, end), (bytes) => this.onPart((at + bytes) / file.size)));
      at = offsetOf(answer);
      onProgress();
    }
    return request("GET", plain(answer.header("Location")));
  }

  async #begin() {
    const { file, options } = this;
    const fields = { filename: file.name, ...options };
    const headers = {
      "Upload-Length": String(file.size),
      "Upload-Metadata": Object.entries(fields).map(([name, value]) => `${name} ${base64(String(value))}`).join(","),
    };
    const answer = checked(await send("POST", "api/uploads", { headers, signal: this.#stop.signal }));
    this.#path = plain(answer.header("Location"));
    const others = unfinished().filter((one) => one.key !== this.key);
    remember([...others, { key: this.key, name: file.name, size: file.size, path: this.#path }]);
  }

  #send(method, headers, body, onProgress) {
    return send(method, this.#path, { headers, body, onProgress, signal: this.#stop.signal });
  }
}

/** XMLHttpRequest, because fetch does not say how much was sent. */
function send(method, path, { headers = {}, body = null, onProgress = null, signal = null } = {}) {
  const sending = new XMLHttpRequest();
  return new Promise((done, fail) => {
    const abort = () => sending.abort();
    if (signal?.aborted) return fail(new DOMException("stopped", "AbortError"));
    signal?.addEventListener("abort", abort);
    sending.open(method, address(path));
    const own = token() ? { Authorization: `Bearer ${token()}` } : {};
    for (const [name, value] of Object.entries({ "Tus-Resumable": "1.0.0", ...own, ...headers })) sending.setRequestHeader(name, value);
    if (onProgress) sending.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    sending.addEventListener("load", () =>
      done({ status: sending.status, header: (name) => sending.getResponseHeader(name), text: sending.responseText }),
    );
    sending.addEventListener("error", () => fail(new ServerError("unreachable")));
    sending.addEventListener("abort", () => fail(new DOMException("stopped", "AbortError")));
    sending.addEventListener("loadend", () => signal?.removeEventListener("abort", abort));
    sending.send(body);
  });
}

function checked(answer) {
  if (answer.status < 300) return answer;
  let detail = `HTTP ${answer.status}`;
  try {
    detail = JSON.parse(answer.text).error.message;
  } catch {
    // a proxy's page, or the answer to HEAD
  }
  throw new ServerError(answer.status === 401 ? "bad_token" : "refused", { status: answer.status, detail });
}

function offsetOf(answer) {
  return Number(answer.header("Upload-Offset"));
}

/** Relative to the page, so that it also works behind a proxy that adds a path. */
function plain(location) {
  return new URL(location, document.baseURI).pathname.replace(/^.*\/(?=api\/)/, "");
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Wait so many seconds, or until the network is back. */
function pause(seconds, signal) {
  return new Promise((done, fail) => {
    const end = (act) => {
      clearTimeout(timer);
      window.removeEventListener("online", again);
      signal.removeEventListener("abort", stopped);
      act();
    };
    const again = () => end(done);
    const stopped = () => end(() => fail(new DOMException("stopped", "AbortError")));
    const timer = setTimeout(again, seconds * 1000);
    window.addEventListener("online", again);
    signal.addEventListener("abort", stopped);
  });
}
