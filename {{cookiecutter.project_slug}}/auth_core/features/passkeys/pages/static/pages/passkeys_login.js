// Log in with a passkey: instead of name and password, or as the step after them.

import { auth, proceed } from "./page.js";
import { onPress, proof } from "./passkeys.js";

const part = (name) => document.getElementById(`passkey-${name}`);
const step = part("step");
let waiting = {};

async function logIn(purpose, body) {
  proceed(await auth.logIn(await proof(purpose, body), `passkeys/${purpose}/complete/`));
}

// Other pages than the login have the step alone.
if (part("login")) onPress(part("login"), part("login-answer"), () => logIn("login"));
onPress(part("verify"), part("verify-answer"), () => logIn("verify", waiting));

document.addEventListener("step", (event) => {
  const { factors = [], ephemeral_token } = event.detail;
  if (!factors.includes("webauthn")) return;
  event.preventDefault();
  waiting = { ephemeral_token };
  step.hidden = false;
  part("verify").focus();
});
