// Sends a form, with what the link's fragment carries, to the API as JSON and shows the answer.

const form = document.querySelector("form");
const answer = document.querySelector("#answer");
const secrets = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

function show(text, failed) {
  answer.textContent = text;
  answer.classList.toggle("failed", failed);
}

// A refusal holds `detail`, or lists of messages by field.
function messages(body) {
  if (body.detail) return body.detail;
  return Object.values(body).filter(Array.isArray).flat().join(" ");
}

// Where tokens travel in cookies, an unsafe request needs a proof, also from somebody without any.
async function proof() {
  const address = document.body.dataset.csrf;
  if (!address) return {};
  const response = await fetch(address, { credentials: "omit" });
  return { "X-CSRF-Token": (await response.json()).csrf_token };
}

async function send(event) {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  show("", false);
  try {
    const response = await fetch(form.dataset.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", ...(await proof()) },
      body: JSON.stringify({ ...secrets, ...Object.fromEntries(new FormData(form)) }),
      credentials: "omit",
    });
    const body = await response.json();
    if (response.ok) form.hidden = true;
    show(response.ok ? form.dataset.done : messages(body), !response.ok);
  } catch {
    show(answer.dataset.offline, true);
  } finally {
    button.disabled = false;
  }
}

const missing = (form.dataset.needs ?? "").split(" ").some((name) => name && !secrets[name]);
if (missing) {
  form.hidden = true;
  show(form.dataset.incomplete, true);
} else {
  // The secret has been read: keep it out of the history and of what gets copied.
  history.replaceState(null, "", location.pathname);
  form.addEventListener("submit", send);
}
