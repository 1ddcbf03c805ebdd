/* HTTP requests to the server: addresses, the access token, and errors with a code that the pages can explain.
 *
 * Owns the token (stored for this tab only). Every failed request throws a ServerError. Addresses are relative to the
 * page, so the pages also work behind a proxy that adds a path.
 */

const TOKEN_KEY = "host-stt.token";

export class ServerError extends Error {
  /** code: a key of the error texts; status: of HTTP, 0 without a response; detail: the server's sentence; mistakes: of
   * a glossary that was refused; current: the line as it is now, if another person changed it first.
   */
  constructor(code, { status = 0, detail = "", retryAfterS = null, mistakes = [], current = null } = {}) {
    super(detail || code);
    this.name = "ServerError";
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.retryAfterS = retryAfterS;
    this.mistakes = mistakes;
    this.current = current;
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

export function rememberToken(value) {
  if (value) sessionStorage.setItem(TOKEN_KEY, value);
  else sessionStorage.removeItem(TOKEN_KEY);
}

/** An absolute URL for `path` (no leading slash); empty parameters are left out. */
export function address(path, parameters = {}) {
  const url = new URL(path, document.baseURI);
  url.hash = "";
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

/** The same for WebSocket and EventSource. They cannot send headers, so the token is in the query. */
export function streamAddress(path, parameters = {}, scheme = "http") {
  const url = address(path, { ...parameters, token: token() });
  if (scheme === "ws") url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

/** Send a request with the token and return the JSON of its response. Throws ServerError.
 *
 * body: sent as JSON. headers: further ones. options: of fetch, for example another body.
 */
export async function request(method, path, body, { headers: more = {}, ...options } = {}) {
  const headers = { Accept: "application/json", ...more };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(address(path), {
      method,
      headers,
      cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("unreachable", { detail: error.message });
  }
  const result = await response.json().catch(() => ({}));
  if (!response.ok) throw errorOf(response, result);
  return result;
}

/** Codes of the server that have texts of their own; the others are explained by their status. */
const OWN_TEXTS = new Set(["link_ended", "role_too_low"]);

function errorOf(response, result) {
  const wait = Number.parseFloat(response.headers.get("Retry-After") ?? "");
  const code = result?.error?.code;
  return new ServerError(OWN_TEXTS.has(code) ? code : codeOf(response.status), {
    status: response.status,
    detail: result?.error?.message ?? `HTTP ${response.status}`,
    retryAfterS: Number.isFinite(wait) ? wait : null,
    mistakes: result?.error?.mistakes ?? [],
    current: result?.error?.current ?? null,
  });
}

function codeOf(status) {
  if (status === 401) return "bad_token";
  if (status === 403) return "forbidden";
  if (status === 429) return "busy";
  if (status === 502 || status === 504) return "unreachable";
  if (status === 503) return "not_ready";
  return "refused";
}
