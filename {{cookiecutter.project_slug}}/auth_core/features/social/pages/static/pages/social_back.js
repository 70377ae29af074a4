// The way back from another provider: what it put behind the address goes to the API.

import { auth, options, proceed, say, textOf } from "./page.js";

const answer = document.getElementById("social-answer");
const brought = Object.fromEntries(new URLSearchParams(location.search));
const flow = JSON.parse(sessionStorage.getItem("social") ?? "null");
sessionStorage.removeItem("social");
history.replaceState(null, "", location.pathname);

async function finish() {
  const { state, code, iss, error } = brought;
  const path = `social/${flow.provider}/`;
  const body = { flow_token: flow.token, state, code, iss, error };
  if (flow.purpose === "link") {
    await auth.request("POST", `${path}link/`, body);
    location.replace(options.account);
  } else if (!proceed(await auth.logIn(body, path))) {
    say(answer, options.texts.step, true);
  }
}

if (!flow || !location.pathname.endsWith(`/${flow.provider}`)) say(answer, answer.dataset.foreign, true);
else finish().catch((error) => say(answer, textOf(error), true));
