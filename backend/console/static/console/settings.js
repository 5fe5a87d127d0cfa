// The sheet of settings: how the page looks and speaks, the person's name, their password, and where they are logged in.

import { authorized, get, patch, remove } from "./api.js";
import { element, find } from "./dom.js";
import { field, whenSent } from "./forms.js";
import { LANGUAGES, chooseLanguage, dateTime, language, t } from "./i18n.js";
import { problemText, toast } from "./problems.js";
import { THEMES, chooseTheme, theme } from "./theme.js";

/** `onUser(user)` is called when the name was changed. */
export function createSettings({ onUser }) {
  async function open(body) {
    const user = await get("/api/v1/users/me");
    const sessions = element("ul", { class: "sessions" });
    body.replaceChildren(
      choice("settings.theme", "theme", THEMES.map((name) => [name, t(`theme.${name}`)]), theme(), chooseTheme),
      choice("settings.language", "language", Object.entries(LANGUAGES), language, chooseLanguage),
      profile(user),
      password(user),
      element("section", {}, element("h3", {}, t("settings.sessions")), sessions),
    );
    await drawSessions(sessions);
  }

  function choice(title, name, options, chosen, choose) {
    return element(
      "fieldset",
      { class: "choice" },
      element("legend", {}, t(title)),
      options.map(([value, text]) =>
        element(
          "label",
          { class: "check", lang: name === "language" ? value : null },
          element("input", { type: "radio", name, value, checked: value === chosen, onchange: () => choose(value) }),
          element("span", {}, text),
        ),
      ),
    );
  }

  const refusal = () => element("p", { class: "error refusal", role: "alert" });
  const submit = (key) => element("div", { class: "row" }, element("button", { type: "submit", class: "primary" }, t(key)));

  function profile(user) {
    const name = element("input", { name: "name", value: user.name, maxlength: "150", autocomplete: "name" });
    const form = element("form", { class: "agent-form" }, element("h3", {}, user.email), field(t("settings.name"), name), refusal(), submit("save"));
    whenSent(form, async () => {
      onUser(await patch("/api/v1/users/me", { name: name.value }));
      toast(t("saved"));
    });
    return form;
  }

  function password(user) {
    const input = (name, autocomplete) => element("input", { type: "password", name, autocomplete });
    const form = element(
      "form",
      { class: "agent-form", id: "password-form" },
      element("h3", {}, t("settings.password")),
      // Password managers look for the name that a password belongs to.
      element("input", { type: "email", value: user.email, autocomplete: "username", hidden: true, readonly: true }),
      field(t("settings.currentPassword"), input("current_password", "current-password")),
      field(t("settings.newPassword"), input("new_password", "new-password"), t("settings.passwordHint")),
      refusal(),
      submit("settings.changePassword"),
    );
    whenSent(form, async (values) => {
      await authorized("POST", "/api/v1/account/password/change", { json: Object.fromEntries(["current_password", "new_password"].map((name) => [name, values.get(name)])) });
      form.reset();
      toast(t("settings.passwordChanged"));
      await drawSessions(find(".sessions"));
    });
    return form;
  }

  async function drawSessions(list) {
    const { results } = await get("/api/v1/sessions");
    const others = results.filter(({ current }) => !current);
    list.replaceChildren(
      ...results.map((session) =>
        element(
          "li",
          { class: "row spread" },
          element(
            "div",
            {},
            element("strong", {}, deviceOf(session.user_agent)),
            element("p", { class: "soft" }, session.current ? t("settings.thisOne") : t("settings.lastUsed", { when: dateTime(session.last_used_at ?? session.created_at) })),
          ),
          session.current ? "" : element("button", { type: "button", class: "quiet", onclick: () => end(list, `/${session.id}`) }, t("account.logout")),
        ),
      ),
      others.length > 1 ? element("li", {}, element("button", { type: "button", class: "quiet", onclick: () => end(list, "") }, t("settings.endOthers"))) : "",
    );
  }

  async function end(list, path) {
    try {
      await remove(`/api/v1/sessions${path}`);
      await drawSessions(list);
    } catch (error) {
      toast(problemText(error));
    }
  }

  return { title: () => t("settings.title"), open };
}

const BROWSERS = { Edg: "Edge", OPR: "Opera", Firefox: "Firefox", Chrome: "Chrome", Safari: "Safari" };
const SYSTEMS = { iPhone: "iPhone", iPad: "iPad", Android: "Android", Windows: "Windows", "Mac OS": "macOS", Linux: "Linux" };

/** "Firefox, Windows" for what a browser calls itself; anything else by its first word, such as "curl/8.5". */
function deviceOf(agent) {
  const named = (names) => Object.entries(names).find(([part]) => agent.includes(part))?.[1];
  return [named(BROWSERS), named(SYSTEMS)].filter(Boolean).join(", ") || agent.split(" ")[0].slice(0, 40) || t("settings.unknownDevice");
}
