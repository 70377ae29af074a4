// The client against a server that answers as a rendered project does; CLIENT names the file to test.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { afterEach, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";

const { AuthError, createClient } = await import(pathToFileURL(process.env.CLIENT));

const PASSWORD = { username: "ada", password: "right" };
let server, origin, state, clients;

// One user, tokens that are numbers: access N is good while N === state.access.
function answer(request, body) {
  const cookies = Object.fromEntries((request.headers.cookie ?? "").split("; ").map((it) => it.split("=")));
  const path = request.url;
  const inCookies = request.headers["x-token-delivery"] === "cookie";
  if (state.page) return [200, "<h1>Log in to this network</h1>"];
  if (state.broken) return [state.broken, { detail: "No.", code: "unavailable" }, { "Retry-After": "5" }];
  if (path === "/auth/csrf/") return [200, { csrf_token: `csrf${state.csrf}` }];
  if (inCookies && request.method !== "GET" && request.headers["x-csrf-token"] !== `csrf${state.csrf}`)
    return [403, { detail: "Proof.", code: "csrf_failed" }];
  const pair = () => {
    state.access += 1;
    state.refresh += 1;
    const expirations = { access_expiration: "later", refresh_expiration: "later" };
    if (inCookies) return { ...expirations, csrf_token: `csrf${state.csrf}` };
    return { ...expirations, access: `a${state.access}`, refresh: `r${state.refresh}` };
  };
  if (path === "/auth/login/") {
    if (body.password === "step") return [200, { mfa_required: true, ephemeral_token: "e" }];
    if (body.password !== "right")
      return [400, { password: ["Wrong."], codes: { password: ["bad"] }, code: "bad", request_id: "id1" }];
    return [200, { ...pair(), user: { username: "ada" } }];
  }
  if (path === "/auth/second/") return [200, { ...pair(), user: { username: "ada" } }];
  if (path === "/auth/refresh/") {
    state.refreshes += 1;
    if (state.over || (!inCookies && body.refresh !== `r${state.refresh}`))
      return [401, { detail: "Over.", code: "session_revoked" }];
    return [200, pair()];
  }
  if (path.startsWith("/auth/logout/")) {
    state.loggedOut.push(body);
    return [200, { detail: "ok" }];
  }
  if (path === "/page") return [502, "<h1>Bad gateway</h1>"];
  const good = inCookies ? cookies.access === `a${state.access}` || state.cookieLives : request.headers.authorization === `Bearer a${state.access}`;
  if (!good || state.deaf) return [401, { detail: "Expired.", code: "token_expired" }];
  if (path === "/gone") return [204];
  return [200, { path, method: request.method, body, language: request.headers["accept-language"] }];
}

beforeEach(async () => {
  state = { access: 0, refresh: 0, csrf: 1, refreshes: 0, requests: [], loggedOut: [], over: false, broken: 0, page: false, delay: 0 };
  clients = [];
  server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const text = Buffer.concat(parts).toString();
    state.requests.push(`${request.method} ${request.url}`);
    const [status, body, headers = {}] = answer(request, text ? JSON.parse(text) : undefined);
    await new Promise((resolve) => setTimeout(resolve, state.delay));
    const isText = typeof body === "string";
    response.writeHead(status, { "Content-Type": isText ? "text/html" : "application/json", "X-Request-ID": "id2", ...headers });
    response.end(body === undefined ? undefined : isText ? body : JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${server.address().port}`;
});

afterEach(async () => {
  for (const client of clients) client.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function client(options = {}) {
  const made = createClient({ base: `${origin}/auth/`, refresh: "/auth/refresh/", ...options });
  clients.push(made);
  return made;
}

function shelf() {
  const values = new Map();
  return {
    values,
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
    removeItem: (key) => void values.delete(key),
  };
}

const heard = (auth) => {
  const states = [];
  auth.onChange((it) => states.push(it));
  return states;
};
const settled = () => new Promise((resolve) => setTimeout(resolve, 50));
const refusal = async (promise) => {
  const error = await promise.then(() => assert.fail("was not refused"), (it) => it);
  assert.ok(error instanceof AuthError, error.stack);
  return error;
};

test("a login, a request, a logout", async () => {
  const auth = client({ headers: { "Accept-Language": "de" } });
  const states = heard(auth);
  assert.equal((await auth.logIn(PASSWORD)).user.username, "ada");
  const seen = await auth.request("PATCH", "things/", { a: 1 });
  assert.deepEqual(seen, { path: "/auth/things/", method: "PATCH", body: { a: 1 }, language: "de" });
  assert.equal(await auth.request("DELETE", "/gone"), undefined);
  await auth.logOut();
  assert.deepEqual(state.loggedOut, [{ refresh: "r1" }]);
  assert.equal((await refusal(auth.request("GET", "things/"))).status, 401);
  assert.equal(state.refreshes, 0);
  assert.deepEqual(states.slice(0, 2), ["in", "out"]);
});

test("a login that needs another step begins no session before it", async () => {
  const auth = client();
  const states = heard(auth);
  const step = await auth.logIn({ ...PASSWORD, password: "step" });
  assert.equal(step.user, undefined);
  assert.equal(step.ephemeral_token, "e");
  assert.deepEqual(states, []);
  assert.equal((await auth.logIn({ ephemeral_token: "e", code: "1" }, "second/")).user.username, "ada");
  assert.deepEqual(states, ["in"]);
});

test("errors are values", async () => {
  const error = await refusal(client().logIn({ ...PASSWORD, password: "wrong" }));
  const { status, code, fields, codes, requestId, retryAfter, message } = error;
  assert.deepEqual(
    { status, code, fields, codes, requestId, retryAfter, message },
    { status: 400, code: "bad", fields: { password: ["Wrong."] }, codes: { password: ["bad"] }, requestId: "id1", retryAfter: null, message: "Wrong." },
  );
  const gateway = await refusal(client().request("GET", "/page"));
  assert.deepEqual([gateway.status, gateway.code, gateway.requestId], [502, "error", "id2"]);
});

test("ten requests with an expired token renew it once, and are sent once more each", async () => {
  const auth = client();
  await auth.logIn(PASSWORD);
  state.access += 1; // expired
  state.requests = [];
  state.delay = 5;
  const answers = await Promise.all(Array.from({ length: 10 }, () => auth.request("GET", "things/")));
  assert.equal(answers.length, 10);
  assert.equal(state.refreshes, 1);
  assert.equal(state.requests.filter((it) => it === "GET /auth/things/").length, 20);
});

test("a token that is refused again is not renewed again", async () => {
  const auth = client();
  await auth.logIn(PASSWORD);
  state.deaf = true;
  assert.equal((await refusal(auth.request("GET", "things/"))).status, 401);
  assert.equal(state.refreshes, 1);
});

test("a session that is over logs out", async () => {
  const auth = client();
  await auth.logIn(PASSWORD);
  const states = heard(auth);
  state.access += 1;
  state.over = true;
  assert.equal((await refusal(auth.request("GET", "things/"))).code, "token_expired");
  assert.deepEqual(states, ["out"]);
  await refusal(auth.request("GET", "things/"));
  assert.equal(state.refreshes, 1);
});

for (const [what, ruin, status, code] of [
  ["an unreachable server", () => { server.close(); server.closeAllConnections(); }, 0, "unreachable"],
  ["a server that is down", () => { state.broken = 503; }, 503, "unavailable"],
  ["a limit", () => { state.broken = 429; }, 429, "unavailable"],
]) {
  test(`${what} logs nobody out`, async () => {
    const kept = shelf();
    const auth = client({ storage: kept });
    await auth.logIn(PASSWORD);
    const states = heard(auth);
    const before = [...kept.values];
    state.access += 1;
    const reopened = client({ storage: kept }); // a reload: must renew at once
    ruin();
    for (const each of [auth, reopened]) {
      const error = await refusal(each.request("GET", "things/"));
      assert.deepEqual([error.status, error.code], [status, code]);
      const logout = await refusal(each.logOut());
      assert.equal(logout.status, status);
    }
    assert.deepEqual([...kept.values], before);
    assert.deepEqual(states, []);
    if (!status) return;
    state.broken = 0;
    assert.equal((await auth.request("GET", "things/")).path, "/auth/things/");
  });
}

test("a proxy's page begins no session, renews none, and ends none", async () => {
  const kept = shelf();
  const auth = client({ storage: kept });
  await auth.logIn(PASSWORD);
  const states = heard(auth);
  const before = [...kept.values];
  const reopened = client({ storage: kept });
  state.page = true;
  for (const each of [() => auth.logOut(), () => reopened.request("GET", "things/"), () => client().logIn(PASSWORD)])
    assert.equal((await refusal(each())).code, "unreachable");
  assert.deepEqual([...kept.values], before);
  assert.deepEqual(states, []);
  state.page = false;
  assert.equal((await reopened.request("GET", "things/")).path, "/auth/things/");
});

test("a server that hangs is unreachable, and who gives up is told so", async () => {
  const auth = client({ timeout: 20 });
  state.delay = 200;
  assert.equal((await refusal(auth.request("GET", "things/"))).code, "unreachable");
  const giving = AbortSignal.timeout(5);
  await assert.rejects(client().fetch("things/", { signal: giving }), { name: "TimeoutError" });
});

test("no token goes to another origin", async () => {
  const auth = client();
  await auth.logIn(PASSWORD);
  await assert.rejects(auth.request("GET", "https://evil.example/"), TypeError);
  await assert.rejects(auth.fetch("//evil.example/"), TypeError);
});

test("what is kept survives a reload; by default nothing does", async () => {
  const kept = shelf();
  await client({ storage: kept }).logIn(PASSWORD);
  assert.deepEqual([...kept.values.values()], ["r1"]); // the access token is not among it
  assert.equal((await client({ storage: kept }).request("GET", "things/")).path, "/auth/things/");
  const forgetful = client();
  await forgetful.logIn(PASSWORD);
  assert.equal((await refusal(client().request("GET", "things/"))).status, 401);
});

test("storage may be asynchronous, like a phone's keychain", async () => {
  const kept = shelf();
  const later = Object.fromEntries(["getItem", "setItem", "removeItem"].map((it) => [it, async (...all) => kept[it](...all)]));
  await client({ storage: later }).logIn(PASSWORD);
  const auth = client({ storage: later });
  assert.equal((await auth.request("GET", "things/")).path, "/auth/things/");
  await auth.logOut();
  assert.equal(kept.values.size, 0);
});

test("a logout in one tab logs out the other, a login logs it in", async () => {
  const kept = shelf();
  const [one, two] = [client({ storage: kept }), client({ storage: kept })];
  const states = heard(two);
  await one.logIn(PASSWORD);
  await settled();
  assert.deepEqual(states, ["in"]);
  assert.equal((await two.request("GET", "things/")).path, "/auth/things/");
  await one.logOut();
  await settled();
  assert.deepEqual(states, ["in", "out"]);
  assert.equal((await refusal(two.request("GET", "things/"))).status, 401);
});

test("tabs that keep nothing in common are logged out each for itself", async () => {
  const [one, two] = [client(), client()];
  await two.logIn(PASSWORD);
  const states = heard(two);
  await one.logOut();
  await settled();
  assert.deepEqual(states, []);
});

test("in cookie mode every change carries the CSRF token, and no token is sent or kept", async () => {
  const kept = shelf();
  const auth = client({ delivery: "cookie", storage: kept });
  await auth.logIn(PASSWORD);
  state.cookieLives = true; // Node's fetch has no jar
  state.requests = [];
  assert.deepEqual((await auth.request("POST", "things/", {})).method, "POST");
  assert.deepEqual(state.requests, ["POST /auth/things/"]);
  assert.equal(kept.values.size, 0);
  await auth.logOut();
  assert.deepEqual(state.loggedOut, [{}]);
});

test("a CSRF token of another session is fetched anew, once", async () => {
  const auth = client({ delivery: "cookie" });
  await auth.logIn(PASSWORD);
  state.cookieLives = true;
  state.csrf = 2; // another tab has logged in
  state.requests = [];
  assert.equal((await auth.request("POST", "things/", { a: 1 })).body.a, 1);
  assert.deepEqual(state.requests, ["POST /auth/things/", "GET /auth/csrf/", "POST /auth/things/"]);
  Object.defineProperty(state, "csrf", { get: () => Math.random() });
  assert.equal((await refusal(auth.request("POST", "things/", {}))).code, "csrf_failed");
});

test("a logout everywhere, also of a session that is over", async () => {
  const auth = client();
  await auth.logIn(PASSWORD);
  const states = heard(auth);
  state.over = true;
  await auth.logOut({ everywhere: true });
  assert.deepEqual(state.loggedOut, [undefined]);
  assert.equal(states.at(-1), "out");
});
