// The balance and its last days as a line; the sheet with transactions, which lead to their answers, and usage.

import { get } from "./api.js";
import { element, find, shape } from "./dom.js";
import { balance, count, date, dateTime, money, t, tryText } from "./i18n.js";
import { problemText } from "./problems.js";
import { address } from "./router.js";

const DAY = 24 * 3600 * 1000;
const DAYS = 14;
const GROUPS = ["day", "agent", "model"];

/** `agents()` name those of usage. */
export function createWallet({ onShow, agents }) {
  const card = find("#balance");
  const tab = find("#tabs [data-view=wallet] .amount");
  let latest = null; // { wallet, transactions } as last requested.
  let onChange = null; // Draws the sheet anew while it is open.

  card.addEventListener("click", onShow);

  /**
   * Request the balance again: when a run has ended, and when a document is done. The transactions are requested where
   * the sheet shows them; the line beside the conversation gets its next step from the two balances.
   */
  const refresh = () => load({ whole: onChange !== null });

  /** Request the balance and the transactions: on entering, and for the sheet. */
  const reload = () => load({ whole: true });

  async function load({ whole }) {
    const [wallet, listed] = await Promise.all([get("/api/v1/billing/balance"), whole && get("/api/v1/billing/transactions")]);
    const transactions = listed || continued(latest, wallet);
    latest = { wallet, transactions };
    const { available, held, currency } = wallet;
    const amount = balance(available, currency);
    for (const node of [find(".amount", card), tab]) node.textContent = amount;
    find(".held", card).hidden = Number(held) === 0;
    find(".held", card).textContent = t("wallet.held", { amount: money(held, currency) });
    find(".chart", card).replaceChildren(line(transactions.results, wallet, { height: 34 }));
    onChange?.();
  }

  async function open(body) {
    const view = element("div", { id: "wallet", class: "wallet" });
    body.replaceChildren(view);
    await reload();
    view.replaceChildren(summary(latest), usage(agents), transactionList(latest.transactions));
    onChange = () => {
      find(".summary", view).replaceWith(summary(latest));
      find(".transactions", view).replaceWith(transactionList(latest.transactions));
    };
  }

  return { refresh, reload, title: () => t("wallet.balance"), open, leave: () => (onChange = null) };
}

function summary({ wallet, transactions }) {
  const { available, held, currency } = wallet;
  const ever = transactions.results.length > 0;
  return element(
    "div",
    { class: "summary" },
    element("p", { class: "amount" }, balance(available, currency)),
    Number(held) ? element("p", { class: "soft held" }, t("wallet.held", { amount: money(held, currency) })) : "",
    Number(available) > 0 ? "" : element("p", { class: "error wallet-empty" }, t(ever ? "wallet.empty" : "wallet.never")),
    ever ? element("figure", { class: "chart labelled" }, line(transactions.results, wallet, { height: 90, labels: true })) : "",
  );
}

/** The transactions, and what was booked since then as one step. */
function continued({ wallet: before, transactions }, { posted }) {
  const amount = Number(posted) - Number(before.posted);
  if (amount === 0) return transactions;
  const step = { created_at: new Date().toISOString(), amount: String(amount), balance_after: posted };
  return { ...transactions, results: [step, ...transactions.results] };
}

// Transactions -----------------------------------------------------------------------------------------------------------

function transactionList(first) {
  const rows = element("tbody");
  const more = element("button", { type: "button", class: "quiet more" }, t("nav.more"));
  const failure = element("p", { class: "error", role: "alert" });
  let next = null;
  const append = (page) => {
    rows.append(...page.results.map(row));
    next = page.next;
    more.hidden = next === null;
  };
  more.addEventListener("click", () => get(next).then(append, (error) => (failure.textContent = problemText(error))));
  append(first);
  const column = (name, kind = null) => element("th", { scope: "col", class: kind }, t(`wallet.${name}`));
  return element(
    "section",
    { class: "transactions" },
    element("h3", {}, t("wallet.transactions")),
    first.results.length
      ? element("table", {}, element("thead", {}, element("tr", {}, column("what"), column("amount", "number"), column("after", "number"))), rows)
      : element("p", { class: "soft none" }, t("wallet.none")),
    more,
    failure,
  );
}

function row({ created_at: at, kind, description, amount, balance_after: after, currency, reference }) {
  return element(
    "tr",
    {},
    element("td", {}, what(kind, description, reference), element("time", { class: "soft", datetime: at }, dateTime(at))),
    element("td", { class: `number ${Number(amount) > 0 ? "gain" : ""}` }, money(amount, currency, { exact: true })),
    element("td", { class: "number soft" }, money(after, currency, { exact: true })),
  );
}

/** In a person's words; what was paid for an answer leads to it. */
function what(kind, description, reference) {
  if (reference.startsWith("run_") && kind === "usage") {
    return element("a", { href: address("runs", reference) }, description ? t("wallet.answerBy", { name: description }) : t("wallet.answer"));
  }
  const named = tryText(`kind.${kind}`) ?? t("kind.other");
  if (kind === "grant" && description) return element("span", {}, description); // "Sign-up credit" needs no more words.
  return element("span", {}, description ? `${named}: ${description}` : named);
}

// Usage ------------------------------------------------------------------------------------------------------------------

function usage(agents) {
  const body = element("div", { class: "bars" });
  const choice = element(
    "select",
    { "aria-label": t("usage.by") },
    GROUPS.map((group) => element("option", { value: group }, t(`usage.${group}`))),
  );
  const named = (group) => {
    if (choice.value === "day") return date(`${group}T12:00:00`);
    if (choice.value === "agent") return agents().find(({ id }) => id === group)?.name ?? t("usage.deleted");
    return group ?? t("usage.deleted");
  };
  async function draw() {
    try {
      const { results, currency } = await get(`/api/v1/billing/usage?group_by=${choice.value}`);
      const dearest = Math.max(...results.map(({ cost }) => Number(cost)), 1e-9);
      body.replaceChildren(
        ...results.map(({ group, requests, cost }) => {
          const fill = element("span", { class: "fill" });
          fill.style.width = `${(100 * Number(cost)) / dearest}%`;
          return element("div", { class: "bar-row" }, element("span", {}, named(group)), element("span", { class: "soft" }, count("requests", requests)), element("span", { class: "number" }, money(cost, currency)), fill);
        }),
      );
      if (!results.length) body.replaceChildren(element("p", { class: "soft" }, t("usage.none")));
    } catch (error) {
      body.replaceChildren(element("p", { class: "error" }, problemText(error)));
    }
  }
  choice.addEventListener("change", draw);
  draw();
  return element("section", { class: "usage" }, element("div", { class: "row spread" }, element("h3", {}, t("usage.title")), choice), body);
}

// The line ---------------------------------------------------------------------------------------------------------------

/** The balance over the last days as steps above a line at zero: it changes at a transaction and stays in between. */
function line(transactions, { posted, currency }, { height, labels = false }) {
  const now = Date.now();
  const points = transactions.map(({ created_at: at, amount, balance_after: after }) => ({ at: Date.parse(at), before: Number(after) - Number(amount), value: Number(after) })).reverse();
  if (!points.length) return "";
  const begin = Math.max(now - DAYS * DAY, points[0].at);
  const shown = points.filter(({ at }) => at >= begin);
  const start = shown[0]?.before ?? Number(posted);
  const highest = Math.max(start, ...shown.map(({ value }) => value), 0);
  const [width, margin] = [220, 3];
  const span = Math.max(1, now - begin);
  const x = (at) => (((at - begin) / span) * width).toFixed(1);
  const y = (value) => (margin + (1 - value / (highest || 1)) * (height - 2 * margin)).toFixed(1);
  const path = `M0,${y(start)}${shown.map(({ at, value }) => `H${x(at)}V${y(value)}`).join("")}H${width}`;
  const label = t("wallet.chart", { from: date(new Date(begin)), start: balance(start, currency), highest: balance(highest, currency), amount: balance(posted, currency) });
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  svg.append(shape("path", { class: "area", d: `${path}V${y(0)}H0Z` }), shape("path", { class: "zero", d: `M0,${y(0)}H${width}` }), shape("path", { d: path }));
  if (!labels) return svg;
  const caption = (...texts) => element("div", { class: "row spread soft", "aria-hidden": "true" }, texts.map((text) => element("span", {}, text)));
  return [caption(balance(highest, currency)), svg, caption(`0 · ${date(new Date(begin))}`, t("wallet.now"))];
}
