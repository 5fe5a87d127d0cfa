// The entrance: sign up, log in (with a second factor where the account has one), a forgotten password, and what the
// links in our e-mails lead to; and the way out.

import { authorized, breakOff, forget, keep, open, remove, sessionId, signedIn } from "./api.js";
import { element, find } from "./dom.js";
import { clearRefusal, complain, showRefusal } from "./forms.js";
import { t } from "./i18n.js";
import { problemText } from "./problems.js";

const EMAIL = "orquestra.email"; // The last address in this browser: with one, the page opens the log-in form with it filled in.
const SIGN_UP = "orquestra.sign-up"; // Names a sign-up whose address is still to be confirmed.

// Statuses of a further step when the log-in that it belongs to has expired.
const BEGUN_NO_MORE = new Set([401, 409, 410]);

// What each state of the form asks for; "sent" and "confirm" only say something.
const FIELDS = { signup: ["email", "password"], login: ["email", "password"], forgotten: ["email"], reset: ["password"], sent: [], confirm: [] };

export const knownEmail = () => localStorage.getItem(EMAIL) ?? "";

/** `onEnter()` is called after a log-in. */
export function createEntrance({ onEnter }) {
  const entrance = find("#entrance");
  const form = find("form", entrance);
  const { email, password } = form.elements;
  const submit = find("[type=submit]", form);
  const why = find("#entrance-why");
  const error = find("#entrance-error");
  let mode = "signup";
  let key = null; // Of the link that sets a new password.

  const link = (name, work) => find(`#entrance-${name}`).addEventListener("click", work);
  link("other", () => setMode(mode === "signup" ? "login" : "signup"));
  link("forgotten", () => setMode("forgotten"));
  link("code", askForCode);
  link("back", () => setMode("login"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    guarded(WORK[mode]);
  });

  /** Show a state of the form. `reason` is a sentence above it: why it is on show. */
  function setMode(wanted, reason = "") {
    mode = wanted;
    clearRefusal(form, error);
    secondStep.hide();
    form.hidden = false;
    why.hidden = !reason;
    why.textContent = reason;
    find("h1", form).textContent = t(`entrance.${mode}`);
    submit.textContent = t(mode === "forgotten" || mode === "reset" ? `entrance.${mode}Go` : mode === "signup" ? "entrance.signup" : "entrance.login");
    submit.hidden = FIELDS[mode].length === 0;
    for (const input of [email, password]) input.closest("label").hidden = !FIELDS[mode].includes(input.name);
    find("#entrance-hint").hidden = mode !== "forgotten";
    const shown = { other: ["signup", "login"], forgotten: ["login"], code: ["forgotten"], back: ["forgotten", "reset", "sent", "confirm"] };
    for (const [name, modes] of Object.entries(shown)) find(`#entrance-${name}`).hidden = !modes.includes(mode);
    find("#entrance-other").textContent = t(mode === "signup" ? "entrance.toLogin" : "entrance.toSignup");
    // Password managers offer a new password in the one case and the kept one in the other.
    password.autocomplete = mode === "login" ? "current-password" : "new-password";
    if (FIELDS[mode].length) (FIELDS[mode].includes("email") && !email.value ? email : FIELDS[mode].includes("password") ? password : email).focus();
    else find("h1", form).focus();
  }

  const secondStep = createSecondStep({
    onDone: letIn,
    onBack: (reason) => {
      setMode("login");
      if (reason) error.textContent = t(reason);
    },
  });

  /** One request at a time; a refusal is shown at its field, or leads to the next step. */
  async function guarded(work) {
    submit.disabled = true;
    clearRefusal(form, error);
    let refused = null;
    try {
      await work();
    } catch (problem) {
      refused = problem;
    }
    submit.disabled = false;
    if (refused && !goOn(refused)) showRefusal(form, refused, error);
  }

  const WORK = {
    signup: async () => letIn((await open("/api/v1/auth/signup", { email: email.value, password: password.value })).meta),
    login: async () => letIn((await open("/api/v1/auth/login", { email: email.value, password: password.value })).meta),
    forgotten: async () => {
      await open("/api/v1/auth/password/request", { email: email.value });
      setMode("sent", t("entrance.sentReset", { email: email.value }));
    },
    reset: async () => letIn((await open("/api/v1/auth/password/reset", { key, password: password.value })).meta),
  };

  function askForCode() {
    guarded(() => open("/api/v1/auth/code/request", { email: email.value }));
  }

  /** What a 401 still waits for. Resolves to false where the request was plainly refused. */
  function goOn(problem) {
    const pending = pendingFlow(problem);
    const token = problem.extra?.meta?.session_token;
    if (mode === "reset" && problem.errors?.some(({ pointer }) => pointer === "/key")) {
      setMode("forgotten", t("entrance.linkOver"));
    } else if (asksForCode(pending) || pending?.id === "login_by_code") {
      password.value = ""; // It was right; the next user of this browser must not find it filled in.
      form.hidden = true;
      secondStep.show(token, pending.id === "login_by_code" ? "mailed" : "factor");
    } else if (pending?.id === "verify_email") {
      localStorage.setItem(SIGN_UP, token);
      setMode("confirm", t("entrance.sentConfirm", { email: email.value }));
    } else if (problem.status === 401) {
      error.textContent = t(pending ? "entrance.pending" : "entrance.closed"); // Not pending: right, and shut out.
    } else {
      return false;
    }
    return true;
  }

  function letIn(tokens) {
    keep(tokens);
    localStorage.removeItem(SIGN_UP);
    if (email.value) localStorage.setItem(EMAIL, email.value);
    password.value = "";
    entrance.hidden = true;
    onEnter();
  }

  /** `reason` is null for a new visitor, "elsewhere" or "expired" after a log-in ended. */
  function show(reason = null) {
    entrance.hidden = false;
    email.value = knownEmail();
    setMode(reason || knownEmail() ? "login" : "signup", reason === "elsewhere" || reason === "expired" ? t(`entrance.${reason}`) : "");
  }

  /** Whether the address is one of ours, from an e-mail: "#/reset-password/…", "#/verify-email/…". Then it is shown. */
  function follow(hash) {
    const [, place, given] = /^#\/(reset-password|verify-email)(?:\/([^/?]*))?/.exec(hash) ?? [];
    if (!place) return false;
    history.replaceState(null, "", "/"); // A key must not stay in the address, nor in the history.
    entrance.hidden = false;
    email.value = knownEmail();
    key = given ?? null;
    if (place === "verify-email") confirm(key);
    else setMode(key ? "reset" : "forgotten");
    return true;
  }

  async function confirm(given) {
    setMode("confirm", t("entrance.confirming"));
    const path = "/api/v1/auth/email/verify";
    const sessionToken = localStorage.getItem(SIGN_UP);
    try {
      if (signedIn()) await authorized("POST", path, { json: { key: given } });
      else return letIn((await open(path, { key: given }, { sessionToken })).meta);
      entrance.hidden = true;
      onEnter();
    } catch (problem) {
      if (problem.status === 401 && goOnConfirmed(problem)) return;
      const own = problem.errors?.some(({ code }) => code === "other_account");
      setMode("login", own ? t("entrance.otherAccount") : problem.status === 422 ? t("entrance.linkOver") : problemText(problem));
    }
  }

  /** Confirmed, yet not logged in: with the sign-up's session the password is still good, without it a new one is due. */
  function goOnConfirmed(problem) {
    if (asksForCode(pendingFlow(problem))) return goOn(problem);
    if (localStorage.getItem(SIGN_UP)) setMode("login", t("entrance.confirmed"));
    else setMode("forgotten", t("entrance.confirmedElsewhere"));
    localStorage.removeItem(SIGN_UP);
    return true;
  }

  return { show, follow };
}

/** What a 401 still waits for: a second factor, a confirmed address; undefined where the log-in was plainly refused. */
const pendingFlow = (problem) => problem.extra?.data?.flows?.find(({ is_pending: isPending }) => isPending);

/** A passkey alone is a second factor too, but nothing that can be typed. */
const asksForCode = (flow) => flow?.id === "mfa_authenticate" && flow.types.some((type) => type !== "webauthn");

/** A code: of an authenticator app or a recovery code, or mailed. `onBack` gets the name of a text with the reason, or nothing. */
function createSecondStep({ onDone, onBack }) {
  const form = find("#second-step");
  const { code } = form.elements;
  const error = find("#second-step-error");
  const submit = find("[type=submit]", form);
  let sessionToken = null; // Names the log-in that has begun; good for this step alone.
  let kind = "factor"; // Or "mailed".

  find("#second-step-back").addEventListener("click", () => leave());
  form.addEventListener("keydown", (event) => event.key === "Escape" && leave());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = code.value.replace(/[\s-]/g, ""); // Apps show codes in groups.
    clearRefusal(form, error);
    if (!typed) return refuse(t("entrance.codeMissing"));
    submit.disabled = true;
    const token = sessionToken;
    try {
      const { meta } = await open(`/api/v1/auth/${kind === "mailed" ? "code/confirm" : "2fa/authenticate"}`, { code: typed }, { sessionToken: token });
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
    const pending = pendingFlow(problem);
    if (kind === "mailed" && asksForCode(pending)) show(problem.extra.meta.session_token, "factor");
    else if (pending && pending.id !== "login_by_code") leave("entrance.pending");
    else if (BEGUN_NO_MORE.has(problem.status)) leave(kind === "mailed" ? "entrance.codeOver" : "entrance.tooLate");
    else if (problem.errors.some((field) => field.code === "incorrect_code")) refuse(t(kind === "mailed" ? "entrance.codeWrongMailed" : "entrance.codeWrong"));
    else refuse(problemText(problem));
  }

  function refuse(text) {
    complain(code, text);
    code.focus();
    code.select();
  }

  function show(token, wanted) {
    hide();
    sessionToken = token;
    kind = wanted;
    const mailed = kind === "mailed";
    find("h1", form).textContent = t(mailed ? "entrance.mailedCode" : "entrance.secondStep");
    find("#second-step-hint").textContent = t(mailed ? "entrance.mailedCodeHint" : "entrance.codeHint");
    code.inputMode = mailed ? "text" : "numeric";
    form.hidden = false;
    code.focus();
  }

  function hide() {
    sessionToken = null;
    form.hidden = true;
    form.reset();
    clearRefusal(form, error);
  }

  function leave(reason) {
    hide();
    onBack(reason);
  }

  return { show, hide };
}

export async function logOut() {
  breakOff();
  // A server that cannot be reached must not keep anybody logged in.
  await remove(`/api/v1/sessions/${sessionId()}`).catch(() => {});
  if (signedIn()) forget("here");
}

export function drawAccount(user) {
  const letter = element("span", { "aria-hidden": "true" }, (user.name || user.email)[0].toUpperCase());
  find("#account").replaceChildren(letter, element("span", { class: "visually-hidden" }, t("account.menu")));
  find("#account-email").textContent = user.email;
}
