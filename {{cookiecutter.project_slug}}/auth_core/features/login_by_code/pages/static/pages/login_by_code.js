// Log in with a mailed code; its token stays in this page.

import { named } from "./login.js";

const asked = document.getElementById("login-code");
const confirm = document.getElementById("login-code-confirm");

asked.addEventListener("values", ({ detail }) => named(detail));
asked.addEventListener("done", ({ detail }) => {
  confirm.elements.login_token.value = detail.login_token;
  confirm.hidden = false;
  confirm.elements.code.focus();
});
