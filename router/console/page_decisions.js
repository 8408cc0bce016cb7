// The newest decisions as a list, narrowed by words.

import { h } from "./dom.js";
import { cents, clock, count, span, word } from "./format.js";
import { empty, none, planName, savedText, stopText, votes } from "./parts.js";
import { state } from "./state.js";

export const title = "Decisions";
let wanted = "";
let render = () => {};

const BAD = ["STATUS_FAILED", "STATUS_CANCELLED"];

export function rowList(rows) {
  return h("ol", { class: "rows" }, rows.map((row) => h("li", { "data-key": row.id }, h("a", { href: `#/decisions/${row.id}` },
    h("span", { class: "asked" }, row.query ?? h("em", {}, row.hash ? `not kept · ${row.hash.slice(0, 12)}` : "not kept")),
    h("span", { class: "plan-of" }, planName(row.plan), row.mode === "MODE_OBSERVE" && row.would && row.would !== row.plan ? h("small", {}, ` would be ${row.would}`) : null),
    h("span", { class: "came" }, votes(row)),
    h("span", { class: `why ${BAD.includes(row.status) ? "bad" : ""}` }, row.status === "STATUS_ANSWERED" ? stopText(row) : `${word(row.status, "STATUS_")}${row.error ? `: ${row.error}` : ""}`),
    h("span", { class: "cost" }, cents(row.cost), h("small", {}, savedText(row))),
    h("span", { class: "when" }, h("time", { datetime: new Date(row.at).toISOString() }, clock(row.at)), h("small", {}, span(row.latency)))))));
}

const matches = (row, words) => {
  const text = [row.query, row.plan, row.tenant, row.status, row.stop, row.id, row.session, row.replica, row.bundle, ...row.samples.map((one) => one.backend), ...Object.values(row.metadata)].join(" ").toLowerCase();
  return words.toLowerCase().split(/\s+/).every((one) => text.includes(one));
};

export function page(again) {
  render = again;
  const rows = wanted ? state.rows.filter((row) => matches(row, wanted)) : state.rows;
  return [
    h("h1", {}, "Decisions"),
    h("div", { class: "find" }, h("label", { for: "find" }, "Find"), h("input", { id: "find", type: "search", placeholder: "plan, tenant, words, status, id…", autocomplete: "off", "data-acts": "find", oninput: (event) => { wanted = event.target.value; render(); } }),
      h("p", { class: "below", role: "status" }, `${count(rows.length)} of the last ${count(state.rows.length)}`)),
    rows.length ? rowList(rows.slice(0, 200)) : wanted && state.rows.length ? empty("No decision has these words.") : none("No decision yet."),
  ];
}
