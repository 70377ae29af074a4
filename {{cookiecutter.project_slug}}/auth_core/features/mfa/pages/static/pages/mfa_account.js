// The second factor of the account: set it up, renew the recovery codes, switch it off.

import { filled, onShow, when } from "./account.js";
import { ask, auth, onClick, recently, say } from "./page.js";

const part = (name) => document.getElementById(`mfa-${name}`);
const answer = part("answer");

function only(...names) {
  for (const name of ["off", "activate", "codes", "on"]) part(name).hidden = !names.includes(name);
}

async function load() {
  const status = await auth.request("GET", "mfa/status/");
  const hasApp = status.factors.includes("totp");
  if (status.mfa_enabled) {
    const since = part("since");
    since.textContent = filled(since.dataset.text, { time: when(status.created_at), left: status.recovery_codes_left });
  }
  only(status.mfa_enabled && "on", !hasApp && "off");
  part("deactivate").hidden = !hasApp;
}

function showCodes(codes) {
  const list = part("codes").querySelector("ol");
  list.replaceChildren(...codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })));
  only("codes");
  list.focus();
}

onShow(answer, load);

// Factors of another kind were added or removed; recovery codes come with the first.
document.addEventListener("factors", ({ detail: codes }) => (codes.length ? showCodes(codes) : load()));

onClick(part("begin"), answer, async () => {
  const begun = await recently(() => auth.request("GET", "mfa/totp/activate/"));
  if (begun === null) return;
  const form = part("activate");
  form.querySelector("img").src = begun.qr_code_data_uri;
  form.querySelector("code").textContent = begun.secret;
  form.elements.activation_token.value = begun.activation_token;
  only("activate");
  form.elements.code.focus();
});

part("activate").addEventListener("done", ({ detail }) => showCodes(detail.recovery_codes));
part("deactivate").addEventListener("done", load);

onClick(part("renew"), answer, async () => {
  if (!(await ask(part("renew").dataset.confirm))) return;
  const renewed = await recently(() => auth.request("POST", "mfa/recovery-codes/regenerate/", {}));
  if (renewed !== null) showCodes(renewed.codes);
});

onClick(part("copy"), answer, async () => {
  const codes = [...part("codes").querySelectorAll("li")].map((each) => each.textContent);
  await navigator.clipboard.writeText(codes.join("\n"));
  say(answer, part("copy").dataset.done);
});

onClick(part("kept"), answer, load);
