// Keeps a user logged in, in every tab: no dependency, no build step. Types and options: client.d.ts.
//
//     const auth = createClient({ base: "/api/auth/", refresh: "/api/auth/token/refresh/", delivery: "cookie" });
//     const { user } = await auth.logIn({ username: "ada", password: "correct horse battery staple" });
//     const things = await auth.request("GET", "/api/things/");

const SAFE_METHODS = ["GET", "HEAD", "OPTIONS"];

export class AuthError extends Error {
  constructor(status, body = {}, headers = new Headers(), cause = undefined) {
    const fields = Object.fromEntries(Object.entries(body).filter(([, value]) => Array.isArray(value)));
    super(body.detail ?? (Object.values(fields).flat().join(" ") || `HTTP status ${status}`), { cause });
    this.name = "AuthError";
    this.status = status;
    this.code = body.code ?? "error";
    this.fields = fields;
    this.codes = body.codes ?? {};
    this.requestId = body.request_id ?? headers.get("X-Request-ID");
    this.retryAfter = Number(headers.get("Retry-After")) || null;
  }
}

// Not even an answer: says nothing of the session, so nobody is logged out by it.
const unreachable = (cause) =>
  new AuthError(0, { code: "unreachable", detail: "The server does not answer." }, undefined, cause);

function memory() {
  const values = new Map();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => values.set(key, value),
    removeItem: (key) => values.delete(key),
  };
}

function asJson(method, body) {
  const content = body === undefined ? {} : { body: JSON.stringify(body) };
  return { method, headers: { "Content-Type": "application/json" }, ...content };
}

async function read(response) {
  const text = await response.text().catch((cause) => { throw unreachable(cause); });
  let body;
  try {
    body = text ? JSON.parse(text) : undefined;
  } catch {
    body = undefined; // a proxy's page
  }
  if (!response.ok) throw new AuthError(response.status, body, response.headers);
  // A server that is stopped breaks off in the headers; Chromium takes that for an answer without content.
  if (!text && response.status !== 204 && !response.headers.has("Content-Length")) throw unreachable();
  return body;
}

// For what changes the session: a proxy's page is no answer of the server.
async function readPromised(response) {
  const answer = await read(response);
  if (!answer) throw unreachable();
  return answer;
}

export function createClient({
  base, refresh, delivery = "header", scheme = "Bearer", storage, headers = {}, timeout = 30_000,
}) {
  const root = new URL(base, globalThis.location?.href);
  const byCookie = delivery === "cookie";
  const name = `auth ${root}`;
  const kept = storage ?? memory(); // the refresh token; the access token never leaves this closure
  const listeners = new Set();
  // Tabs that keep nothing in common are logged in, and out, each for itself.
  const channel = (byCookie || storage) && globalThis.BroadcastChannel ? new BroadcastChannel(name) : null;
  let access = null;
  let csrf = null;
  let renewing = null;
  let generation = 0; // of what this tab knows of the session

  channel?.addEventListener("message", ({ data }) => { learn({}); tell(data); });
  channel?.unref?.(); // in Node it would keep the process alive

  function learn(pair) {
    access = pair.access ?? null;
    csrf = pair.csrf_token ?? null;
    generation += 1;
  }

  function tell(state) {
    for (const listener of listeners) listener(state);
  }

  function announce(state) {
    channel?.postMessage(state);
    tell(state);
  }

  // One tab at a time changes the session. Where there are no locks, the server's grace lets racing callers converge.
  const exclusively = (job) =>
    globalThis.navigator?.locks ? navigator.locks.request(name, job) : job();

  async function adopt(pair) {
    if (pair.refresh) await kept.setItem(name, pair.refresh);
    learn(pair);
  }

  async function forget() {
    await kept.removeItem(name);
    learn({});
    announce("out");
  }

  async function csrfToken() {
    csrf ??= (await read(await send("csrf/"))).csrf_token;
    return csrf;
  }

  async function send(input, init = {}, isRetry = false) {
    const url = new URL(input, root);
    if (url.origin !== root.origin) throw new TypeError(`No token goes to ${url.origin}`);
    const sent = new Headers({ Accept: "application/json", ...headers });
    new Headers(init.headers).forEach((value, key) => sent.set(key, value));
    if (byCookie) {
      sent.set("X-Token-Delivery", "cookie");
      if (!SAFE_METHODS.includes(init.method ?? "GET")) sent.set("X-CSRF-Token", await csrfToken());
    } else if (access) {
      sent.set("Authorization", `${scheme} ${access}`);
    }
    const response = await fetch(url, {
      ...init,
      headers: sent,
      credentials: byCookie ? "include" : "omit",
      signal: init.signal ?? AbortSignal.timeout(timeout),
    }).catch((cause) => { throw init.signal?.aborted ? cause : unreachable(cause); });
    // A CSRF token belongs to one session, and another tab may have begun the next.
    if (byCookie && response.status === 403 && !isRetry) {
      const body = await response.clone().json().catch(() => ({}));
      if (body.code === "csrf_failed") {
        csrf = null;
        return send(input, init, true);
      }
    }
    return response;
  }

  // Whether there is a session still; throws where the server cannot tell now.
  function renew() {
    renewing ??= exclusively(async () => {
      const token = await kept.getItem(name);
      const response = byCookie || token ? await send(refresh, asJson("POST", byCookie ? {} : { refresh: token })) : null;
      if (response === null || response.status === 401) {
        await forget();
        return false;
      }
      await adopt(await readPromised(response));
      return true;
    }).finally(() => { renewing = null; });
    return renewing;
  }

  async function authFetch(input, init = {}) {
    if (!byCookie && !access && (await kept.getItem(name))) await renew();
    const before = generation;
    const response = await send(input, init);
    if (response.status !== 401) return response;
    // Unless another request has renewed it meanwhile.
    if (generation === before && !(await renew())) return response;
    return send(input, init);
  }

  const request = async (method, path, body) => read(await authFetch(path, asJson(method, body)));

  return {
    request,
    fetch: authFetch,

    async logIn(body, path = "login/") {
      const answer = await exclusively(async () => {
        const answered = await readPromised(await send(path, asJson("POST", body)));
        if (answered.access_expiration) await adopt(answered);
        return answered;
      });
      if (answer.access_expiration) announce("in");
      return answer;
    },

    async logOut({ everywhere = false } = {}) {
      if (everywhere) {
        await request("POST", "logout/all/").catch((error) => { if (error.status !== 401) throw error; });
      } else {
        await exclusively(async () => {
          const body = byCookie ? {} : { refresh: await kept.getItem(name) };
          await readPromised(await send("logout/", asJson("POST", body)));
        });
      }
      await forget();
    },

    forget,

    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },

    close: () => channel?.close(),
  };
}
