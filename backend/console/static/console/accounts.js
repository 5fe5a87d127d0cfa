// The entrance: sign up, log in, with a second factor where the account has one; and the way out.

import { authorized, forget, keep, open } from "./api.js";
import { element, find } from "./dom.js";
import { t } from "./i18n.js";
import { problemText } from "./problems.js";

const EMAIL = "orquestra.email"; // Whoever was here before is greeted by the log-in form, with the address filled in.

// Statuses of the second step when the log-in that it belongs to has expired.
const BEGUN_NO_MORE = new Set([401, 409, 410]);

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

  const secondStep = createSecondStep({
    onDone: letIn,
    onBack: (reason) => {
      form.hidden = false;
      error.textContent = reason ? t(reason) : "";
      form.elements.password.focus();
    },
  });

  async function enter() {
    const { email, password } = form.elements;
    const submit = find("[type=submit]", form);
    submit.disabled = true;
    error.textContent = "";
    try {
      const { meta } = await open(`/api/v1/auth/${mode}`, { email: email.value, password: password.value });
      letIn(meta);
    } catch (problem) {
      const pending = pendingFlow(problem);
      if (asksForCode(pending)) {
        password.value = ""; // It was right, and whoever comes back to it should have to know it.
        form.hidden = true;
        secondStep.show(problem.extra.meta.session_token);
        return;
      }
      error.textContent = pending ? t("entrance.pending") : problemText(problem);
      (problem.errors?.some(({ pointer }) => pointer?.includes("email")) ? email : password).focus();
    } finally {
      submit.disabled = false;
    }
  }

  function letIn(tokens) {
    keep(tokens);
    localStorage.setItem(EMAIL, form.elements.email.value);
    form.elements.password.value = "";
    entrance.hidden = true;
    onEnter();
  }

  /** `reason` is null for somebody new, "elsewhere" or "expired" for somebody whose log-in ended. */
  function show(reason = null) {
    entrance.hidden = false;
    secondStep.hide();
    form.hidden = false;
    setMode(reason || knownEmail() ? "login" : "signup");
    why.hidden = reason !== "elsewhere" && reason !== "expired";
    why.textContent = why.hidden ? "" : t(`entrance.${reason}`);
    form.elements.email.value = knownEmail();
    (knownEmail() ? form.elements.password : form.elements.email).focus();
  }

  return { show };
}

/** What a 401 still waits for: a second factor, a confirmed address; undefined where the log-in was plainly refused. */
const pendingFlow = (problem) => problem.extra?.data?.flows?.find(({ is_pending: isPending }) => isPending);

/** A passkey alone is a second factor too, but nothing that can be typed. */
const asksForCode = (flow) => flow?.id === "mfa_authenticate" && flow.types.some((type) => type !== "webauthn");

/** The code of an authenticator app, or a recovery code. `onBack` gets the name of a text that says why, or nothing. */
function createSecondStep({ onDone, onBack }) {
  const form = find("#second-step");
  const { code } = form.elements;
  const error = find("#second-step-error");
  const submit = find("[type=submit]", form);
  let sessionToken = null; // Names the log-in that has begun; good for this step alone.

  find("#second-step-back").addEventListener("click", () => leave());
  form.addEventListener("keydown", (event) => event.key === "Escape" && leave());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = code.value.replace(/[\s-]/g, ""); // Apps show codes in groups.
    if (!typed) return complain(t("entrance.codeMissing"));
    submit.disabled = true;
    error.textContent = "";
    const token = sessionToken;
    try {
      const { meta } = await open("/api/v1/auth/2fa/authenticate", { code: typed }, { sessionToken: token });
      if (token !== sessionToken) return; // Gone back meanwhile.
      hide();
      onDone(meta);
    } catch (problem) {
      if (token === sessionToken) refused(problem);
    } finally {
      submit.disabled = false;
    }
  });

  function refused(problem) {
    if (pendingFlow(problem)) leave("entrance.pending");
    else if (BEGUN_NO_MORE.has(problem.status)) leave("entrance.tooLate");
    else complain(problem.errors.some((field) => field.code === "incorrect_code") ? t("entrance.codeWrong") : problemText(problem));
  }

  function complain(text) {
    error.textContent = text;
    code.setAttribute("aria-invalid", "true");
    code.focus();
    code.select();
  }

  function show(token) {
    sessionToken = token;
    form.hidden = false;
    code.focus();
  }

  function hide() {
    sessionToken = null;
    form.hidden = true;
    form.reset();
    error.textContent = "";
    code.removeAttribute("aria-invalid");
  }

  function leave(reason) {
    hide();
    onBack(reason);
  }

  return { show, hide };
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
