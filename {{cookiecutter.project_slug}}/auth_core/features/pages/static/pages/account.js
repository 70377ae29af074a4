// The account: who it is, where it is logged in, and how it ends. Sections of features fill themselves `onShow`.

import { auth, onClick, options, say, textOf } from "./page.js";

const state = document.getElementById("state");
const again = document.getElementById("again");
const sections = document.getElementById("sections");
let reason = "out";

let shown; // whose account this is
const fillers = [];

// Fill a section before all are shown, at once: what moves under a pointer is missed. Returns what fills it again.
export function onShow(line, load) {
  const fill = () => load().catch((error) => say(line, textOf(error), true));
  fillers.push(fill);
  return fill;
}

auth.onChange(async (change) => {
  if (change === "out") return location.replace(`${options.login}#${reason}=`);
  // Another tab has logged in, perhaps somebody else.
  const user = await auth.request("GET", "user/").catch(() => null);
  if (shown && user && user.pk !== shown.pk) location.reload();
});
// Back from a page after a logout, as the browser remembers it.
addEventListener("pageshow", ({ persisted }) => { if (persisted) location.reload(); });

const date = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
export const when = (text) => date.format(new Date(text));

// Put values into a text that a translation has arranged; each keeps its own direction.
export function filled(text, values) {
  const [open, close] = document.dir === "rtl" ? ["\u2068", "\u2069"] : ["", ""];
  return text.replace(/\{(\w+)\}/g, (_, name) => open + values[name] + close);
}

// Fill a copy of a template: `values` by the names in its data-of; null leaves a part out.
export function row(template, values) {
  const copy = document.getElementById(template).content.firstElementChild.cloneNode(true);
  for (const part of copy.querySelectorAll("[data-of]")) {
    const value = values[part.dataset.of];
    if (value === null) part.remove();
    else if (value !== undefined) part.textContent = value;
  }
  return copy;
}

function deviceOf(agent) {
  const browser = agent.match(/Edg|OPR|Firefox|Chrome|Safari/)?.[0];
  const system = agent.match(/Android|iPhone|iPad|Windows|Mac OS X|Linux/)?.[0];
  const names = { Edg: "Edge", OPR: "Opera", "Mac OS X": "macOS" };
  const known = [browser, system].filter(Boolean).map((name) => names[name] ?? name);
  return known.join(" · ") || agent || "?";
}

const list = document.getElementById("sessions");
const answer = document.getElementById("sessions-answer");

async function showSessions() {
  const rows = (await auth.request("GET", "sessions/")).map((session) => {
    const name = deviceOf(session.user_agent);
    const last = filled(list.dataset.last, { time: when(session.last_used), ip: session.ip ?? "?" });
    const made = row("session", { name, last, current: session.current ? undefined : null });
    const button = made.querySelector("button");
    if (session.current) {
      button.remove(); // the page's own button does that
      return made;
    }
    button.ariaLabel = filled(list.dataset.end, { name });
    onClick(button, answer, async () => {
      await auth.request("DELETE", `sessions/${session.id}/`).catch((error) => { if (error.status !== 404) throw error; });
      await showSessions();
    });
    return made;
  });
  list.replaceChildren(...rows);
  document.getElementById("end-others").hidden = rows.length < 2;
}

function showUser(user) {
  shown = user;
  for (const place of document.querySelectorAll("#identity [data-of]")) place.textContent = user[place.dataset.of] || "–";
  for (const name of ["first_name", "last_name"]) document.getElementById(`profile-${name}`).value = user[name] ?? "";
}

async function load() {
  again.hidden = true;
  let user;
  try {
    user = await auth.request("GET", "user/");
  } catch (error) {
    if (error.status === 401) return; // on the way to the login
    say(state, textOf(error), true);
    again.hidden = false;
    // Somebody who may do nothing but add a second factor, for one: the sections say what they may.
    if (error.status !== 403) return;
  }
  if (user) showUser(user);
  await Promise.all(fillers.map((fill) => fill())).finally(() => { sections.hidden = false; });
}

const showSessionsAgain = onShow(answer, showSessions);

onClick(document.getElementById("log-out"), state, () => auth.logOut());
onClick(document.getElementById("end-all"), answer, () => auth.logOut({ everywhere: true }));
onClick(document.getElementById("end-others"), answer, async () => {
  await auth.request("DELETE", "sessions/");
  await showSessions();
});
again.addEventListener("click", () => { say(state, ""); load(); });
document.getElementById("password").addEventListener("done", showSessionsAgain);
document.getElementById("delete").addEventListener("done", () => {
  reason = "deleted";
  auth.forget();
});
document.getElementById("export").addEventListener("done", ({ detail }) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(detail, null, 2)], { type: "application/json" }));
  link.download = "account.json";
  link.click();
  URL.revokeObjectURL(link.href);
});

// Not before the scripts of all sections listen.
document.addEventListener("DOMContentLoaded", load);
