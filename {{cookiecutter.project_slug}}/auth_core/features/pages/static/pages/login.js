// The page to log in.

import { carried } from "./page.js";

const notice = document.getElementById("notice");
for (const name of ["out", "deleted"]) if (name in carried) notice.textContent = notice.dataset[name];

// The field may hold a name or an address.
export function named(values) {
  if (!("login" in values)) return;
  values[values.login.includes("@") ? "email" : "username"] = values.login;
  delete values.login;
}

document.getElementById("login").addEventListener("values", ({ detail }) => named(detail));
