// Buttons that log in at another provider.

import { auth, say, textOf } from "./page.js";

// The token proves on the way back that this browser began it: kept in this tab only, and out of the URL.
export async function leave(provider, purpose) {
  const begin = purpose === "link" ? "link/begin/" : "begin/";
  const begun = await auth.request("POST", `social/${provider}/${begin}`, {});
  sessionStorage.setItem("social", JSON.stringify({ provider, purpose, token: begun.flow_token }));
  location.assign(begun.authorization_url);
}

for (const button of document.querySelectorAll("#ways [data-provider]")) {
  const answer = document.getElementById("social-answer");
  button.addEventListener("click", () => {
    say(answer, "");
    leave(button.dataset.provider, "login").catch((error) => say(answer, textOf(error), true));
  });
}
