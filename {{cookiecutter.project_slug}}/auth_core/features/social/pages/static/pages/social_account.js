// The providers at which the user may log in.

import { filled, onShow, when } from "./account.js";
import { auth, onClick, recently } from "./page.js";
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

onShow(answer, load);

for (const each of list.querySelectorAll("li")) {
  const { provider } = each.dataset;
  onClick(each.querySelector("[data-link]"), answer, () => recently(() => leave(provider, "link")));
  onClick(each.querySelector("[data-unlink]"), answer, async () => {
    if ((await recently(() => auth.request("DELETE", `social/${provider}/link/`))) !== null) await load();
  });
}
