// The menu as it is configured, how often each plan is taken, and the model servers behind them.

import { h } from "./dom.js";
import { count, dollars, percent, share, span, word } from "./format.js";
import { byPlan } from "./figures.js";
import { ask, bar, call, card, colour, planName } from "./parts.js";
import { state } from "./state.js";

export const title = "Plans";

const stage = (one) => h("li", {}, h("b", {}, one.backend), h("span", {}, one.max_samples > 1 ? `up to ${one.max_samples}, ${one.width} at a time` : "one sample"),
  one.prompt ? h("span", {}, `prompt ${one.prompt}`) : null, one.stop && !one.stop.startsWith("never") ? h("code", {}, `stop ${one.stop}`) : null, one.max_samples > 1 ? h("code", {}, `select ${one.select}`) : null, one.verifier ? h("code", {}, `verify ${one.verifier}`) : null, one.gate ? h("code", {}, `if ${one.gate}`) : null);

export function page() {
  const seen = byPlan(state.rows, state.plans.map((plan) => plan.name));
  return [
    h("h1", {}, "Plans"),
    h("div", { class: "menu" }, state.plans.map((plan) => {
      const own = seen.get(plan.name);
      return h("section", { class: "card plan-card", "aria-label": plan.name }, h("header", {}, h("h2", {}, planName(plan.name)), plan.reference ? h("span", { class: "badge" }, "reference") : null),
        h("ol", { class: "stages" }, plan.stages.map(stage)), h("p", {}, bar(own.share, `${percent(own.share)} of the queries`, colour(plan.name)), `${percent(own.share)} of the last ${count(state.rows.length)} queries`),
        h("dl", { class: "sums" }, h("dt", {}, "per 1,000"), h("dd", {}, dollars(own.cost === null ? null : own.cost * 1000)), h("dt", {}, "expected"), h("dd", {}, share(own.quality)), h("dt", {}, "reported"), h("dd", {}, own.rewards ? `${share(own.reward)} of ${own.rewards}` : "–"), h("dt", {}, "typical time"), h("dd", {}, span(own.latency))),
        h("p", { class: "below" }, `digest ${plan.digest.slice(0, 16)}`));
    })),
    card("Model servers", "of this replica", h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Model servers" }, h("table", {},
      h("thead", {}, h("tr", {}, ["backend", "state", "in flight", "model", "$ per 1M in", "cached", "out", "where", ""].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", {}, state.backends.map((one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, h("span", { class: `badge ${one.state === "BACKEND_STATE_ENABLE" ? "good" : "bad"}` }, { BACKEND_STATE_ENABLE: "enabled", BACKEND_STATE_DRAIN: "draining", BACKEND_STATE_DISABLE: "disabled" }[one.state] ?? word(one.state, "BACKEND_STATE_"))),
        h("td", {}, count(one.in_flight)), h("td", {}, one.model || one.kind), h("td", {}, one.price_in), h("td", {}, one.price_cached_in), h("td", {}, one.price_out), h("td", {}, one.urls.join(", ") || one.kind), h("td", {}, turn(one)))))))),
  ];
}

function turn(backend) {
  const on = backend.state === "BACKEND_STATE_ENABLE";
  return h("button", { type: "button", "data-acts": `${backend.name} ${backend.state}`, onclick: () => ask(on ? `Drain ${backend.name}?` : `Enable ${backend.name}?`, on ? "What runs there may end; plans that need it are not chosen until it is enabled again." : "Its plans may be chosen again.", on ? "Drain" : "Enable", () => call("SetBackendState", { backend: backend.name, state: on ? "BACKEND_STATE_DRAIN" : "BACKEND_STATE_ENABLE" })) }, on ? "Drain" : "Enable");
}
