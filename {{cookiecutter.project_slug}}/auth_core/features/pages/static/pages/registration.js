// Registration and its mailed link: this browser shows that it is the one that registered, or asks for the password.

const KEY = "registration_token"; // of this browser, as the link opens in another tab

const verify = document.getElementById("verify");
const anew = document.getElementById("anew");

document.getElementById("register")?.addEventListener("done", ({ detail }) => {
  if (detail.registration_token) localStorage.setItem(KEY, detail.registration_token);
});

verify?.addEventListener("values", ({ detail }) => {
  const token = localStorage.getItem(KEY);
  if (token) detail.registration_token = token;
});
verify?.addEventListener("refused", ({ detail }) => {
  if (detail.code === "password_needed") anew.hidden = false;
});
for (const [form, other] of [[verify, anew], [anew, verify]]) {
  form?.addEventListener("done", () => {
    localStorage.removeItem(KEY);
    // The answer of the form stands after it.
    other.hidden = true;
  });
}
