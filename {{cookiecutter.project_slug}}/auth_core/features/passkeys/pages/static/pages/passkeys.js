// The ceremonies of passkeys: each is begun by the server, answered by the browser, and completed by the server.

import { auth, say, textOf } from "./page.js";

// Return what completes a ceremony; `purpose` is "register", "login", "verify" or "reauthenticate".
export async function proof(purpose, body = {}) {
  const begun = await auth.request("POST", `passkeys/${purpose}/begin/`, body);
  const [act, parse] = purpose === "register" ? ["create", "Creation"] : ["get", "Request"];
  const publicKey = PublicKeyCredential[`parse${parse}OptionsFromJSON`](begun.options);
  const credential = await navigator.credentials[act]({ publicKey });
  return { ...body, flow_token: begun.flow_token, credential: credential.toJSON() };
}

function whyNot(error, texts) {
  if (error.name === "SecurityError") return texts.elsewhere;
  if (error.name === "InvalidStateError") return texts.known;
  return error instanceof DOMException ? texts.stopped : textOf(error);
}

// Do what a button stands for, and say in `line`, which has the words for it, why it could not be done.
export function onPress(button, line, job) {
  if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    button.disabled = true;
    return say(line, line.dataset.missing, true);
  }
  button.addEventListener("click", async () => {
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    say(line, "");
    try {
      await job();
    } catch (error) {
      say(line, whyNot(error, line.dataset), true);
    } finally {
      button.ariaBusy = "false";
    }
  });
}
