// What the money buys, and whether the forecasts can be believed.

import { h } from "./dom.js";
import { count, dollars, percent, share } from "./format.js";
import { frontier, metrics, reliability } from "./figures.js";
import { frontierChart, reliabilityChart } from "./charts.js";
import { card, colour, none } from "./parts.js";
import { state } from "./state.js";

export const title = "Quality";

export function page() {
  const rows = state.rows, edge = frontier(rows), metric = metrics(rows)[0] ?? "";
  const few = (found) => none(`${count(found.count)} answers have both a prediction and an outcome; a diagram needs 20.`, "apportion outcome DECISION correct true, or ReportOutcome from your application");
  const diagram = (name, about, predicted) => {
    const found = reliability(rows, metric, predicted);
    return card(name, found.bins.length ? `${about}; off by ${percent(found.error, 1)} on average over ${count(found.count)} answers` : about, found.bins.length ? reliabilityChart(found, name) : few(found));
  };
  return [
    h("h1", {}, "Quality"),
    card("Cost and quality", edge ? `forecasts of the last ${count(edge.queries)} queries; at what plans really cost; the line is what choosing per query gives, from a low price to a high one` : null,
      edge ? [frontierChart(edge, colour), h("p", { class: "says" }, `We are at ${dollars(edge.here.cost * 1000)} per 1,000 queries and an expected quality of ${share(edge.here.quality)}.`, edge.real ? ` Reported (${edge.real.metric}, ${count(edge.real.count)} answers): ${share(edge.real.reward)}.` : "")] : none("Ten answered queries with known forecasts are needed.", "Forecasts come from a bundle: apportion fit, then serve with --bundle.")),
    h("div", { class: "two" },
      diagram("Answers", metric ? `confidence of the answer against ${metric}` : "confidence of the answer against what was reported", (row) => row.confidence),
      diagram("Plans", metric ? `expected quality of the served plan against ${metric}` : "expected quality of the served plan against what was reported", (row) => row.forecasts[row.plan]?.quality ?? null)),
  ];
}
