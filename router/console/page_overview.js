// The first page: how it does now, what it spends, and the newest decisions.

import { h } from "./dom.js";
import { count, dollars, percent, share, short, span } from "./format.js";
import { prices, spending, totals } from "./figures.js";
import { priceChart, spendChart } from "./charts.js";
import { bar, card, colour, empty, hue, named, none, planName, reference, tile } from "./parts.js";
import { rowList } from "./page_decisions.js";
import { state } from "./state.js";

export const title = "Overview";

export function page() {
  const { status, budget, rows } = state;
  if (!status) return empty("Asking the service…");
  const now = totals(rows, reference());
  const spent = spending(rows, budget), price = prices(rows);
  return [
    h("h1", {}, "Overview"),
    status.degraded.length ? h("section", { class: "warn", "aria-label": "What is not as it should be" }, h("h2", {}, "Not as it should be"), h("ul", {}, status.degraded.map((one) => h("li", {}, one)))) : null,
    h("div", { class: "tiles" },
      tile("Spent", dollars(budget.spent / 1e6), budget.limit === null ? "no limit is set" : `of ${dollars(budget.limit / 1e6)} per ${span(budget.window)}`,
        budget.limit === null ? null : bar(budget.spent / budget.limit, `${percent(budget.spent / budget.limit)} of the budget`, budget.spent > 0.9 * budget.limit ? "var(--bad)" : "var(--accent)")),
      tile("Saved", now.saved === null ? "–" : percent(now.saved), reference() ? `against always ${reference()}` : "no reference plan"),
      tile("Per 1,000 queries", dollars(now.cost === null ? null : now.cost * 1000), `${now.samples === null ? "–" : short(now.samples)} samples per query`),
      tile("Quality", now.reward !== null && now.rewards >= 20 ? share(now.reward) : share(now.quality), now.rewards >= 20 ? `${now.metric}, ${count(now.rewards)} reported; expected ${share(now.quality)}` : now.quality === null ? "no forecasts: fit a bundle" : "expected by the forecasts"),
      tile("Price of compute", short(status.price), "right answers a dollar must bring"),
      tile("Decisions", count(status.decisions), `${count(status.in_flight)} in flight, ${span(now.latency)} typical`)),
    h("div", { class: "two" },
      card("Spending", spent ? `per ${span(spent.width / 1000)}, by plan, the last ${count(rows.length)} queries` : null, spent ? [spendChart(spent, colour), h("p", { class: "legend" }, spent.plans.map(planName))] : none("Nothing was spent yet.")),
      card("Price of compute", "right answers that a dollar must bring; rises as money runs short", price.length ? [priceChart(price, hue), price.length > 1 ? h("p", { class: "legend" }, price.map((line, index) => named(`tenant ${line.name}`, index))) : null] : none("No query was decided yet."))),
    card("Live decisions", "newest first; open one to see why", rows.length ? [rowList(rows.slice(0, 12)), h("p", {}, h("a", { href: "#/decisions" }, "All decisions"))] : none("No decision yet.", "Ask something: apportion ask \"What is 17 + 25?\"")),
  ];
}
