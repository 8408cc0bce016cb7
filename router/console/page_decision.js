// One decision: why this plan, what came back, where it stopped and what that saved.

import { h } from "./dom.js";
import { cents, count, day, percent, share, short, span, word } from "./format.js";
import { drawn } from "./figures.js";
import { bar, card, colour, empty, letter, planName, reference, saving, stopText, winners } from "./parts.js";
import { call, row as read, state } from "./state.js";

export const title = "Decision";
const looked = new Map();

export function page(again, id) {
  if (!looked.has(id)) {
    looked.set(id, null);
    call("GetDecision", { decision_id: id }).then((reply) => { looked.set(id, read(reply.decision)); again(); }, (error) => { looked.set(id, error); again(); });
  }
  const found = looked.get(id);
  const row = found && !(found instanceof Error) ? found : state.rows.find((one) => one.id === id);
  const back = h("p", { class: "back" }, h("a", { href: "#/decisions" }, "‹ Decisions"));
  if (!row) return [back, h("h1", {}, "Decision"), empty(found instanceof Error ? found.message : "Looking it up…")];
  return [back, h("h1", { class: "query" }, row.query ?? "A query whose text is not kept"), facts(row), h("div", { class: "two" }, chosen(row), saved(row)), came(row), h("div", { class: "two" }, signals(row), reported(row)), record(row)];
}

const facts = (row) => h("p", { class: "facts" }, planName(row.plan), h("span", { class: `badge ${row.status === "STATUS_ANSWERED" ? "good" : "bad"}` }, word(row.status, "STATUS_")),
  h("span", { class: "badge" }, word(row.mode, "MODE_")), row.explored ? h("span", { class: "badge" }, "explored") : null, h("span", {}, cents(row.cost)), h("span", {}, span(row.latency)), h("span", {}, `tenant ${row.tenant}`), h("time", { datetime: new Date(row.at).toISOString() }, day(row.at)),
  row.degraded.map((one) => h("span", { class: "badge warnish" }, one)), row.error ? h("span", { class: "badge bad" }, row.error) : null);

// Utility is what the policy compared: expected quality less what the cost is worth at the price.
function chosen(row) {
  const plans = Object.entries(row.forecasts).map(([name, one]) => ({ name, ...one, utility: one.quality === null ? null : one.quality - row.price * one.cost, chance: row.probabilities[name] ?? 0 }));
  plans.sort((a, b) => (b.utility ?? -1e9) - (a.utility ?? -1e9));
  const why = row.policy === "forced" ? "The caller asked for this plan." : row.mode === "MODE_BYPASS" ? "Bypass: the reference plan, and nothing is predicted." : row.mode === "MODE_OBSERVE" ? `Observed: callers get the reference plan; ${row.would || row.plan} would have been drawn.` : row.policy === "untrained" ? "There is no bundle: the untrained plan is served." : `Quality less price × cost, at ${short(row.price)} right answers per dollar; drawn with probability ${percent(row.propensity)}.`;
  return card("Why this plan", why, plans.length ? h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Plans that were feasible" }, h("table", { class: "plans" },
    h("thead", {}, h("tr", {}, ["plan", "quality", "cost", "worth", "chance"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, plans.map((one) => h("tr", { class: one.name === row.plan ? "taken" : "" }, h("th", { scope: "row" }, planName(one.name), one.name === row.plan ? h("small", {}, " served") : null), h("td", {}, share(one.quality)), h("td", {}, cents(one.cost)), h("td", {}, share(one.utility)), h("td", {}, bar(one.chance, percent(one.chance), colour(one.name)), percent(one.chance))))))) : empty("No plan was forecast."));
}

function saved(row) {
  const found = saving(row), said = drawn(row, state.plans);
  return card("Where it stopped", row.stop ? (row.stop === stopText(row) ? row.stop : `${stopText(row)} (${row.stop})`) : word(row.status, "STATUS_"), h("dl", { class: "sums" },
    said ? [h("dt", {}, "Samples"), h("dd", {}, `${said.drawn} of at most ${said.most}`)] : [h("dt", {}, "Samples"), h("dd", {}, count(row.samples.length))],
    said?.left ? [h("dt", {}, "Not drawn"), h("dd", {}, `${said.left}${said.cost ? `, about ${cents(said.left * said.cost)} at the cost of those that were` : ""}`)] : null,
    said?.skipped.length ? [h("dt", {}, "Not asked"), h("dd", {}, said.skipped.map((stage) => stage.backend).join(", "))] : null,
    [h("dt", {}, "Cost"), h("dd", {}, cents(row.cost))],
    found && row.plan !== reference() ? [h("dt", {}, `${reference()} instead`), h("dd", {}, `${cents(found.other)} expected`), h("dt", {}, found.dollars >= 0 ? "Saved" : "Spent more"), h("dd", { class: found.dollars >= 0 ? "good" : "" }, `${cents(Math.abs(found.dollars))}, ${percent(Math.abs(found.share))}`)] : null,
    row.confidence !== null ? [h("dt", {}, "Confidence"), h("dd", {}, share(row.confidence))] : null));
}

// Stage by stage in order of arrival, with the tally as it stood after each.
function came(row) {
  if (!row.samples.length) return card("What came back", null, empty("Nothing was asked."));
  const stages = new Map();
  row.samples.forEach((one) => stages.set(one.stage, [...(stages.get(one.stage) ?? []), one]));
  const said = drawn(row, state.plans), won = winners(row);
  return card("What came back", "in order of arrival; equal letters are equal answers", [...stages].map(([number, samples]) => {
    const tally = new Map();
    const stage = said?.within[number]?.stage;
    return h("section", { class: "stage" }, h("h3", {}, `Stage ${number + 1}: ${samples[0].backend}`, stage ? h("small", {}, ` stop ${stage.stop} · select ${stage.select}`) : null), h("ol", { class: "samples" }, samples.map((one) => {
      if (one.finished && one.group !== undefined) tally.set(one.group, (tally.get(one.group) ?? 0) + 1);
      const votes = [...tally].sort((a, b) => b[1] - a[1]).map(([group, size]) => `${letter(group)} ${size}`).join(" · ");
      return h("li", {}, h("i", { class: `vote ${one.finished ? "" : "cut"} ${won.has(one.id) ? "won" : ""}`, style: { "--hue": colour(row.plan) } }, letter(one.group)),
        h("div", {}, h("p", { class: "answer" }, one.answer ?? (!one.finished ? "cut" : one.group !== undefined ? "an answer, not kept" : "no answer found")), one.text && one.text !== one.answer ? h("details", {}, h("summary", {}, "Text"), h("pre", {}, one.text)) : null,
          h("p", { class: "below" }, [one.confidence !== null ? `confidence ${share(one.confidence)}` : "", one.out ? `${one.out} tokens` : "", one.latency !== null ? span(one.latency) : "", cents(one.cost), one.why].filter(Boolean).join(" · "))),
        h("p", { class: "tally" }, votes));
    })));
  }));
}

const signals = (row) => card("Signals", "what was predicted before and while it ran", Object.keys(row.signals).length ? h("dl", { class: "signals" }, Object.entries(row.signals).sort().map(([name, value]) => [h("dt", {}, name), h("dd", {}, value >= 0 && value <= 1 ? bar(value, share(value)) : null, h("span", {}, short(value)))])) : empty("None: there is no bundle, or nothing may be predicted."));

const reported = (row) => card("Reported", "what was said about it afterwards", row.outcomes.length ? h("dl", { class: "sums" }, row.outcomes.map((one) => [h("dt", {}, one.metric), h("dd", {}, String(one.value), one.source ? h("small", {}, ` by ${one.source}`) : null)])) : empty("Nothing yet.", `apportion outcome ${row.id} correct true`));

const record = (row) => card("Record", row.usable ? "may be used to judge other policies" : `not used to judge other policies: ${row.unusable}`, h("dl", { class: "sums record" }, [["decision", row.id], ["request", row.request], ["session", row.session], ["replica", row.replica], ["policy", row.policy], ["bundle", row.bundle || "none"], ["plan's digest", row.digest], ...Object.entries(row.metadata)].filter(([, value]) => value).map(([name, value]) => [h("dt", {}, name), h("dd", {}, h("code", {}, value))])));
