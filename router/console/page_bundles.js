// What was learned, in versions: which one serves, what came before, and the way forward and back.

import { h } from "./dom.js";
import { day, moment, percent, short, word } from "./format.js";
import { ask, call, card, empty } from "./parts.js";
import { state } from "./state.js";

export const title = "Bundles";
const NEXT = { BUNDLE_STATE_CANDIDATE: "shadow", BUNDLE_STATE_SHADOW: "canary", BUNDLE_STATE_CANARY: "active", BUNDLE_STATE_RETIRED: "active" };
const GOOD = ["BUNDLE_STATE_ACTIVE", "BUNDLE_STATE_CANARY"];

export function page() {
  const bundles = state.bundles ?? [];
  const before = bundles.some((one) => one.state === "BUNDLE_STATE_RETIRED");
  return [
    h("h1", {}, "Bundles"),
    card("Now", null, h("dl", { class: "sums" }, h("dt", {}, "bundle"), h("dd", {}, h("code", {}, state.status?.bundle || "none")), h("dt", {}, "policy"), h("dd", {}, state.status?.policy ?? "–")),
      before ? h("p", {}, h("button", { class: "danger", type: "button", "data-acts": "back", onclick: () => ask("Roll back?", "The last bundle that was active serves again, in every replica, without a restart.", "Roll back", () => call("RollbackBundle", {})) }, "Roll back")) : null),
    card("History", "newest first", bundles.length ? h("ol", { class: "bundles" }, bundles.map((one) => h("li", { "data-key": one.version },
      h("div", {}, h("b", {}, one.version), h("span", { class: `badge ${GOOD.includes(one.state) ? "good" : ""}` }, word(one.state, "BUNDLE_STATE_")), one.share > 0 && one.share < 1 ? h("span", { class: "badge" }, `${percent(one.share)} of traffic`) : null, one.created_at ? h("time", { datetime: one.created_at }, day(moment(one.created_at))) : null),
      one.note ? h("p", {}, one.note) : null, Object.keys(one.metrics ?? {}).length ? h("details", {}, h("summary", {}, `${Object.keys(one.metrics).length} figures of its card`), h("dl", { class: "sums" }, Object.entries(one.metrics).sort().map(([name, value]) => [h("dt", {}, name), h("dd", {}, short(value))]))) : null,
      NEXT[one.state] ? h("button", { type: "button", "data-acts": `${one.version} ${one.state}`, onclick: () => ask(`Promote ${one.version}?`, `It becomes ${NEXT[one.state]}, in every replica, without a restart.`, "Promote", () => call("PromoteBundle", { version: one.version })) }, `Promote to ${NEXT[one.state]}`) : null))) : empty(state.bundles ? "No bundle yet." : state.bundlesWhy || "No bundle yet.", "apportion fit learns one from recorded answers")),
  ];
}
