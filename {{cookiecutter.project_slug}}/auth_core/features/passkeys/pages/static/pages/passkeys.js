// The ceremonies of passkeys: each is begun by the server, answered by the browser, and completed by the server.

import { auth, onClick, say, textOf } from "./page.js";

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

// Like `onClick`; `line` has the words for what a browser refuses.
export function onPress(button, line, job) {
  if (!globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) {
    button.disabled = true;
    return say(line, line.dataset.missing, true);
  }
  onClick(button, line, job, (error) => whyNot(error, line.dataset));
}
