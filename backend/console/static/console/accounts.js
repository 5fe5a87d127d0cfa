// The entrance: sign up, log in; and the way out.

import { authorized, forget, keep, open } from "./api.js";
import { element, find } from "./dom.js";
import { t } from "./i18n.js";
import { problemText } from "./problems.js";

const EMAIL = "orquestra.email"; // Whoever was here before is greeted by the log-in form, with the address filled in.

export const knownEmail = () => localStorage.getItem(EMAIL) ?? "";

export function createEntrance({ onEnter }) {
  const entrance = find("#entrance");
  const form = find("form", entrance);
  const other = find("#entrance-other");
  const why = find("#entrance-why");
  const error = find("#entrance-error");
  let mode = "signup";

  other.addEventListener("click", () => setMode(mode === "signup" ? "login" : "signup"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    enter();
  });

  function setMode(wanted) {
    mode = wanted;
    error.textContent = "";
    find("h1", form).textContent = t(`entrance.${mode}`);
    find("[type=submit]", form).textContent = t(`entrance.${mode}`);
    other.textContent = t(mode === "signup" ? "entrance.toLogin" : "entrance.toSignup");
    // Password managers offer a new password in the one case and the kept one in the other.
    form.elements.password.autocomplete = mode === "signup" ? "new-password" : "current-password";
  }

  async function enter() {
    const { email, password } = form.elements;
    const submit = find("[type=submit]", form);
    submit.disabled = true;
    error.textContent = "";
    try {
      const { meta } = await open(`/api/v1/auth/${mode}`, { email: email.value, password: password.value });
      keep(meta);
      localStorage.setItem(EMAIL, email.value);
      password.value = "";
      entrance.hidden = true;
      onEnter();
    } catch (problem) {
      // 401 with pending flows: the account wants a second factor or a confirmed address.
      const pending = problem.extra?.data?.flows?.some(({ is_pending: isPending }) => isPending);
      error.textContent = pending ? t("entrance.pending") : problemText(problem);
      (problem.errors?.some(({ pointer }) => pointer?.includes("email")) ? email : password).focus();
    } finally {
      submit.disabled = false;
    }
  }

  /** `reason` is null for somebody new, "elsewhere" or "expired" for somebody whose log-in ended. */
  function show(reason = null) {
    entrance.hidden = false;
    setMode(reason || knownEmail() ? "login" : "signup");
    why.hidden = reason !== "elsewhere" && reason !== "expired";
    why.textContent = why.hidden ? "" : t(`entrance.${reason}`);
    form.elements.email.value = knownEmail();
    (knownEmail() ? form.elements.password : form.elements.email).focus();
  }

  return { show };
}

export async function logOut() {
  // allauth answers 401 when the session is over; a server that cannot be reached must not keep anybody logged in.
  await authorized("DELETE", "/api/v1/auth/session").catch(() => {});
  forget("here");
}

export function drawAccount(user) {
  find("#account").replaceChildren(element("span", { "aria-hidden": "true" }, (user.name || user.email)[0].toUpperCase()));
  find("#account-email").textContent = user.email;
}
