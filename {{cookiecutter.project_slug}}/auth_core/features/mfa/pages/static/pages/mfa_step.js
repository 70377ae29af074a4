// A login that wants a code besides the password.

const form = document.getElementById("mfa");

document.addEventListener("step", (event) => {
  const { mfa_required: isWanted, ephemeral_token: token } = event.detail;
  if (!isWanted) return;
  event.preventDefault();
  form.elements.ephemeral_token.value = token;
  form.hidden = false;
  form.elements.code.focus();
});
