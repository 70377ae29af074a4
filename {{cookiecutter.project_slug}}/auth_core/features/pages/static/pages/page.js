// What every page shares: the client, and forms that send themselves to the API as JSON.
//
// A form names its `data-endpoint` (and `data-method`); further attributes say what comes of it:
//   data-begins            it begins a session: on to the account, or to the step that the answer asks for
//   data-done, data-once   the text for success; then the form is gone
//   data-keep              its values stay
//   data-confirm           a question that comes first
//   data-needs, -otherwise what the link's fragment must carry; the id of what is shown without
// Scripts hear the events "values" (what will be sent, to be changed), "done" (the answer), "refused" (the error),
// "step" (on document).

import { AuthError, createClient } from "../auth_core/client.js";

export const options = JSON.parse(document.getElementById("options").textContent);

export const auth = createClient({
  ...options,
  // Cookies where the project has them. Otherwise a reload and other tabs need the refresh token: see client.d.ts.
  storage: options.delivery === "header" ? localStorage : undefined,
  headers: { "Accept-Language": document.documentElement.lang },
});

// Secrets of a mailed link: read once, and kept out of the history and of what gets copied.
export const carried = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
if (location.hash) history.replaceState(null, "", location.pathname);
// Another link, put into the address bar of the same page.
addEventListener("hashchange", () => location.reload());

export function say(line, text, failed = false) {
  line.textContent = text;
  line.classList.toggle("failed", failed);
}

const answerOf = (form) => form.querySelector(".answer");

function clear(form) {
  say(answerOf(form), "");
  for (const error of form.querySelectorAll(".error")) error.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

export function textOf(error) {
  if (!(error instanceof AuthError)) throw error;
  return error.status ? error.message : options.texts.unreachable;
}

// Do what a button stands for, and say in `line` what went wrong, in the words of `why`.
export function onClick(button, line, job, why = textOf) {
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    say(line, "");
    try {
      await job();
    } catch (error) {
      say(line, why(error), true);
    } finally {
      button.ariaBusy = "false";
    }
  });
}

// Put a refusal where it belongs: beside its fields, or below the form.
function report(error, form) {
  const text = textOf(error);
  let first = null;
  for (const name of Object.keys({ ...error.codes, ...error.fields })) {
    const found = form.elements.namedItem(name);
    const input = found instanceof RadioNodeList ? found[0] : found;
    const line = input && document.getElementById(`${input.id}-error`);
    if (!line) continue;
    first ??= input;
    const field = input.closest(".field");
    if (field.hidden) {
      field.hidden = false; // asked for only now
      continue;
    }
    input.setAttribute("aria-invalid", "true");
    // Of a field called `code` the messages belong to none: that name is for programs.
    line.textContent = (error.fields[name] ?? error.fields.non_field_errors ?? []).join(" ");
    line.hidden = false;
  }
  if (first) first.focus();
  else say(answerOf(form), text, true);
}

function dialog(id) {
  const element = document.getElementById(id);
  element.returnValue = "";
  element.querySelector("[data-cancel]").onclick = () => element.close();
  element.showModal();
  return new Promise((resolve) => {
    element.addEventListener("close", () => resolve(element.returnValue === "yes"), { once: true });
  });
}

export function ask(question) {
  document.getElementById("confirm-text").textContent = question;
  return dialog("confirm");
}

// Do what asks for a recent login; where it is not recent enough, after the password. Null: the user would not.
export async function recently(job) {
  try {
    return await job();
  } catch (error) {
    if (error.code !== "reauthentication_required") throw error;
    const form = document.querySelector("#reauthenticate form");
    form.reset();
    clear(form);
    return (await dialog("reauthenticate")) ? job() : null;
  }
}

function valuesOf(form) {
  const values = { ...carried };
  for (const input of form.elements) {
    if (!input.name || (input.type === "checkbox" && !input.checked)) continue;
    // What may be left out and is empty; but a PATCH empties.
    if (!input.value && !input.required && form.dataset.method !== "PATCH") continue;
    if (input.type === "checkbox") (values[input.name] ??= []).push(input.value);
    else values[input.name] = input.value;
  }
  return values;
}

async function send(form) {
  const { endpoint, method = "POST" } = form.dataset;
  const values = valuesOf(form);
  form.dispatchEvent(new CustomEvent("values", { detail: values }));
  if ("begins" in form.dataset) return auth.logIn(values, endpoint);
  return recently(() => auth.request(method, endpoint, method === "GET" ? undefined : values));
}

// Begin what follows a login; says whether anything did.
export function proceed(answer) {
  if (answer.user) {
    location.assign(options.account);
    return true;
  }
  const step = new CustomEvent("step", { detail: answer, cancelable: true });
  const isKnown = !document.dispatchEvent(step);
  if (isKnown) for (const each of document.querySelectorAll("[data-first]")) each.hidden = true;
  return isKnown;
}

function finish(form, answer) {
  const { done } = form.dataset;
  if ("begins" in form.dataset && proceed(answer)) return;
  const known = done ?? ("begins" in form.dataset ? options.texts.step : "");
  if ("once" in form.dataset) {
    // The line outlives its form, in the same place.
    const line = answerOf(form);
    form.after(line);
    form.hidden = true;
    line.tabIndex = -1;
    say(line, known);
    line.focus();
  } else {
    if (!("keep" in form.dataset)) form.reset();
    say(answerOf(form), known);
  }
  form.dispatchEvent(new CustomEvent("done", { detail: answer ?? {} }));
}

async function submit(event) {
  event.preventDefault();
  const form = event.currentTarget;
  if (form.ariaBusy === "true") return;
  clear(form);
  if (form.dataset.confirm && !(await ask(form.dataset.confirm))) return;
  form.ariaBusy = "true";
  try {
    const answer = await send(form);
    if (answer !== null) finish(form, answer);
  } catch (error) {
    report(error, form);
    form.dispatchEvent(new CustomEvent("refused", { detail: error }));
  } finally {
    form.ariaBusy = "false";
  }
}

for (const form of document.querySelectorAll("form[data-endpoint]")) {
  form.addEventListener("submit", submit);
  const { needs = "", otherwise } = form.dataset;
  if (needs.split(" ").some((name) => name && !carried[name])) {
    form.hidden = true;
    document.getElementById(otherwise).hidden = false;
  }
}

document.querySelector("#reauthenticate form")?.addEventListener("done", () => document.getElementById("reauthenticate").close("yes"));

// The templates leave forms inert until every script of the page listens: an early Enter would be lost.
addEventListener("DOMContentLoaded", () => {
  for (const each of document.querySelectorAll("[inert]")) each.inert = false;
});
