// The passkeys of the account, and one in place of the password where that is asked again.

import { filled, onShow, row, when } from "./account.js";
import { ask, auth, onClick, recently } from "./page.js";
import { onPress, proof } from "./passkeys.js";

const part = (name) => document.getElementById(`passkey-${name}`);
const list = document.getElementById("passkeys");
const answer = part("answer");
const name = part("name");

async function load() {
  const passkeys = await auth.request("GET", "passkeys/");
  const rows = passkeys.map((passkey) => {
    const used = passkey.last_used_at ? filled(list.dataset.used, { time: when(passkey.last_used_at) }) : list.dataset.unused;
    const made = row("passkey", { name: passkey.name, used });
    const button = made.querySelector("button");
    const label = filled(list.dataset.remove, { name: passkey.name });
    button.ariaLabel = label;
    onClick(button, answer, async () => {
      if (!(await ask(`${label}?`))) return;
      // Null: gone, or the user would not say again who it is.
      await recently(() => auth.request("DELETE", `passkeys/${passkey.id}/`));
      await changed();
    });
    return made;
  });
  list.replaceChildren(...rows);
  part("reauthenticate").hidden = !rows.length;
}

async function changed(recoveryCodes = []) {
  await load();
  document.dispatchEvent(new CustomEvent("factors", { detail: recoveryCodes }));
}

onShow(answer, load);

onPress(part("add"), answer, async () => {
  const made = await recently(async () => {
    const body = await proof("register");
    return auth.request("POST", "passkeys/register/complete/", { ...body, ...(name.value && { name: name.value }) });
  });
  if (made === null) return;
  name.value = "";
  await changed(made.recovery_codes);
});

onPress(part("reauthenticate"), part("reauthenticate-answer"), async () => {
  await auth.request("POST", "passkeys/reauthenticate/complete/", await proof("reauthenticate"));
  document.getElementById("reauthenticate").close("yes");
});
