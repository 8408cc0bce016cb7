// Money: every account, what is left of it, and what compute costs under it.

import { h } from "./dom.js";
import { count, dollars, percent, short, span } from "./format.js";
import { prices, spending } from "./figures.js";
import { priceChart, spendChart } from "./charts.js";
import { bar, card, colour, hue, named, none, planName } from "./parts.js";
import { state } from "./state.js";

export const title = "Budget";

const amount = (micros, unit) => (micros === null ? "no limit" : unit === "USD" ? dollars(micros / 1e6) : `${count(Math.round(micros / 1e6))} ${unit}`);

export function page() {
  const accounts = state.accounts.length ? state.accounts : state.budget ? [state.budget] : [];
  const spent = spending(state.rows, state.budget), price = prices(state.rows);
  return [
    h("h1", {}, "Budget"),
    card("Accounts", "over all replicas; a query must fit its account and all that it belongs to", h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Accounts" }, h("table", {},
      h("thead", {}, h("tr", {}, ["account", "spent", "limit", "", "reserved", "window", "ends in", "price"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, accounts.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, amount(one.spent, one.unit)), h("td", {}, amount(one.limit, one.unit)),
        h("td", { class: "wide" }, one.limit ? [bar(one.spent / one.limit, percent(one.spent / one.limit), one.spent > 0.9 * one.limit ? "var(--bad)" : "var(--accent)"), percent(one.spent / one.limit)] : null),
        h("td", {}, amount(one.reserved, one.unit)), h("td", {}, span(one.window)), h("td", {}, one.endsIn === null ? "rolling" : span(one.endsIn)), h("td", {}, short(one.price)))))))),
    card("Spending", spent ? `per ${span(spent.width / 1000)}, by plan, the last ${count(state.rows.length)} queries` : null, spent ? [spendChart(spent, colour), h("p", { class: "legend" }, spent.plans.map(planName))] : none("Nothing was spent yet.")),
    card("Price of compute", "right answers that a dollar must bring, as each query was decided", price.length ? [priceChart(price, hue), price.length > 1 ? h("p", { class: "legend" }, price.map((line, index) => named(`tenant ${line.name}`, index))) : null] : none("No query was decided yet.")),
  ];
}
