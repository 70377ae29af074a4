// The providers at which the user may log in.

import { filled, when } from "./account.js";
import { auth, onClick, recently, say, textOf } from "./page.js";
import { leave } from "./social_login.js";

const list = document.getElementById("social");
const answer = document.getElementById("social-answer");

async function load() {
  const accounts = await auth.request("GET", "social/accounts/");
  for (const each of list.querySelectorAll("li")) {
    const account = accounts.find(({ provider }) => provider === each.dataset.provider);
    const { linked, unlinked } = list.dataset;
    each.querySelector(".hint").textContent = account ? filled(linked, { time: when(account.date_joined) }) : unlinked;
    each.querySelector("[data-link]").hidden = Boolean(account);
    each.querySelector("[data-unlink]").hidden = !account;
  }
}

document.addEventListener("account", () => load().catch((error) => say(answer, textOf(error), true)));

for (const each of list.querySelectorAll("li")) {
  const { provider } = each.dataset;
  onClick(each.querySelector("[data-link]"), answer, () => recently(() => leave(provider, "link")));
  onClick(each.querySelector("[data-unlink]"), answer, async () => {
    if ((await recently(() => auth.request("DELETE", `social/${provider}/link/`))) !== null) await load();
  });
}
