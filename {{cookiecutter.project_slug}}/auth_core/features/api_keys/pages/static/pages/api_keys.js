// The API keys of the account.

import { filled, onShow, row, when } from "./account.js";
import { auth, onClick } from "./page.js";

const list = document.getElementById("api-keys");
const answer = document.getElementById("api-keys-answer");
const shown = document.getElementById("new-key");

async function load() {
  const rows = (await auth.request("GET", "api-keys/")).map((key) => {
    const { name, prefix } = key;
    let details = filled(list.dataset.details, { prefix, scopes: key.scopes.join(", "), time: when(key.expires) });
    if (key.last_used) details += ` · ${filled(list.dataset.used, { time: when(key.last_used) })}`;
    const made = row("api-key", { name, details });
    const button = made.querySelector("button");
    button.ariaLabel = filled(list.dataset.revoke, { name });
    onClick(button, answer, async () => {
      await auth.request("DELETE", `api-keys/${key.id}/`);
      shown.hidden = true;
      await load();
    });
    return made;
  });
  list.replaceChildren(...rows);
}

const reload = onShow(answer, load);

document.getElementById("key").addEventListener("done", ({ detail }) => {
  const text = shown.querySelector("code");
  text.textContent = detail.key;
  shown.hidden = false;
  text.focus();
  reload();
});
