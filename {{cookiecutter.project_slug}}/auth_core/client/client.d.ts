/** What a client needs to know of its project. */
export interface Options {
  /** Where login, logout, user ... are: an address or a path with a slash at the end, like "/api/auth/". */
  base: string;
  /** Where tokens are refreshed, like "/api/auth/token/refresh/". */
  refresh: string;
  /**
   * How tokens travel. "cookie": in HttpOnly cookies, which no script can read; the choice for browsers.
   * "header" (the default): in bodies and the Authorization header.
   */
  delivery?: "header" | "cookie";
  /** The word before the token in the Authorization header: "Bearer" (the default) or "JWT". */
  scheme?: string;
  /**
   * Where the refresh token is kept with "header"; nothing else is. By default in memory: nothing can be found
   * later, and a reload logs out. `localStorage`: survives reloads and is shared by all tabs, but any script of
   * this origin, a foreign one that got in too, can read it. Not `sessionStorage`: a duplicated tab gets a copy, and the
   * second use of a refresh token ends the session. An app gives the keychain of its system; methods may be asynchronous.
   */
  storage?: Store;
  /** Sent with each request, like { "Accept-Language": "de" }. */
  headers?: Record<string, string>;
  /** How long to wait for an answer, in milliseconds (30 000). */
  timeout?: number;
}

export interface Store {
  getItem(key: string): string | null | Promise<string | null>;
  setItem(key: string, value: string): unknown;
  removeItem(key: string): unknown;
}

/** The user, as users/serializers.py has it. */
export interface User {
  pk: number | string;
  username?: string;
  email: string | null;
  first_name: string;
  last_name: string;
  [field: string]: unknown;
}

/** With `user`: logged in. Without: what the next step needs, to be sent by another `logIn`; or only a `detail`. */
export interface LoginAnswer {
  user?: User;
  detail?: string;
  [field: string]: unknown;
}

/** "in": a session began here or in another tab, perhaps of another user. "out": it ended. */
export type State = "in" | "out";

/** A refusal by the server; or no answer at all: `status` 0 and `code` "unreachable". */
export class AuthError extends Error {
  /** The HTTP status. */
  readonly status: number;
  /** The reason, for programs: "invalid_credentials", "throttled" ... docs/contract.md lists them. */
  readonly code: string;
  /** Messages for people by field, in their language; "non_field_errors" belong to none. */
  readonly fields: Record<string, string[]>;
  /** The reasons by field. */
  readonly codes: Record<string, unknown>;
  /** What to give to support: it stands in the log. */
  readonly requestId: string | null;
  /** Seconds to wait (429, 503). */
  readonly retryAfter: number | null;
}

/**
 * Every method throws AuthError, and a TypeError for an address of another origin. Only the server's word that the session
 * is over, or `logOut`, logs out: never a lost connection, a timeout, a 429 or a 5xx.
 */
export interface Client {
  /** Send JSON and return what the answer holds. `path` is relative to `base`, or begins with a slash. */
  request<Answer = any>(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Like the browser's fetch. At a 401 the tokens are renewed, once for all who wait, and the request is sent once more. */
  fetch(input: string | URL, init?: RequestInit): Promise<Response>;
  /** Send what a login asks for; `path` may be anything that begins a session: login/ (the default), a registration, a second step. */
  logIn(body: Record<string, unknown>, path?: string): Promise<LoginAnswer>;
  /** End this session, or all of the user; other tabs hear of it. Throws, and changes nothing, where the server does not answer. */
  logOut(options?: { everywhere?: boolean }): Promise<void>;
  /** Drop the tokens of a session that ended otherwise: the account was deleted. */
  forget(): Promise<void>;
  /** Hear of logins and logouts, those in other tabs too; returns how to stop. */
  onChange(listener: (state: State) => void): () => void;
  /** Stop listening to other tabs. */
  close(): void;
}

export function createClient(options: Options): Client;
