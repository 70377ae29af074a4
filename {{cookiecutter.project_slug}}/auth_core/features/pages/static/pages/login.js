// The page to log in: one field may hold a name or an address.

import { carried } from "./page.js";

const notice = document.getElementById("notice");
for (const name of ["out", "deleted"]) if (name in carried) notice.textContent = notice.dataset[name];

document.getElementById("login").addEventListener("values", ({ detail: values }) => {
  if (!("login" in values)) return;
  values[values.login.includes("@") ? "email" : "username"] = values.login;
  delete values.login;
});
