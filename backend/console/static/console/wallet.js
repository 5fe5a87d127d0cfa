// The balance, its last days as a line, and the list of transactions.

import { get } from "./api.js";
import { element, find, shape } from "./dom.js";
import { balance, dateTime, money, t, tryText } from "./i18n.js";

const DAYS = 14;

export function createWallet({ onShow }) {
  const card = find("#balance");
  const view = find("#wallet");
  const tab = find("#tabs [data-view=wallet] .amount");
  const rows = find("tbody", view);
  const more = find(".more", view);
  let next = null;

  card.addEventListener("click", onShow);
  more.addEventListener("click", async () => append(await get(next)));

  /** Ask again. Called when a run begins and ends, when a document is done, and when the view is opened. */
  async function refresh() {
    const [wallet, transactions] = await Promise.all([
      get("/api/v1/billing/balance"),
      get("/api/v1/billing/transactions"),
    ]);
    const { available, held, currency } = wallet;
    const amount = balance(available, currency);
    for (const node of [find(".amount", card), find(".amount", view), tab]) node.textContent = amount;
    for (const node of [find(".held", card), find(".held", view)]) {
      node.hidden = Number(held) === 0;
      node.textContent = t("wallet.held", { amount: money(held, currency) });
    }
    card.setAttribute("aria-label", t("wallet.show", { amount }));
    find(".wallet-empty", view).hidden = Number(available) > 0;
    for (const node of [find(".chart", card), find(".chart", view)]) {
      node.replaceChildren(line(transactions.results, t("wallet.chart", { amount })) ?? "");
    }
    rows.replaceChildren();
    append(transactions);
    find(".none", view).hidden = transactions.results.length > 0;
    find("table", view).hidden = transactions.results.length === 0;
  }

  function append(page) {
    rows.append(...page.results.map(row));
    next = page.next;
    more.hidden = next === null;
  }

  return { refresh };
}

function row({ created_at: at, kind, description, amount, balance_after: after, currency }) {
  return element(
    "tr",
    {},
    element("td", { class: "soft" }, element("time", { datetime: at }, dateTime(at))),
    element("td", {}, tryText(`kind.${kind}`) ?? kind, description ? element("span", { class: "soft description" }, description) : ""),
    element("td", { class: `number ${Number(amount) > 0 ? "gain" : ""}` }, money(amount, currency, { exact: true })),
    element("td", { class: "number soft" }, money(after, currency, { exact: true })),
  );
}

/** The balance over the last days as steps: it changes at a transaction and stays in between. */
function line(transactions, label) {
  const since = Date.now() - DAYS * 24 * 3600 * 1000;
  const points = transactions
    .map(({ created_at: at, balance_after: after }) => ({ at: Date.parse(at), value: Number(after) }))
    .reverse()
    .filter(({ at }) => at >= since);
  if (points.length < 2) return null;
  const [width, height, margin] = [220, 34, 2];
  const begin = points[0].at;
  const span = Math.max(1, Date.now() - begin);
  const highest = Math.max(...points.map(({ value }) => value));
  const lowest = Math.min(...points.map(({ value }) => value));
  const x = (at) => (((at - begin) / span) * width).toFixed(1);
  const y = (value) => (margin + ((highest - value) / (highest - lowest || 1)) * (height - 2 * margin)).toFixed(1);
  const path = points.map(({ at, value }, index) => (index ? `H${x(at)}V${y(value)}` : `M0,${y(value)}`)).join("");
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  svg.append(shape("path", { d: `${path}H${width}` }));
  return svg;
}
