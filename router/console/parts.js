// What several pages show: plans by colour, samples as votes, bars, and the question before something is changed.

import { h, show } from "./dom.js";
import { call, menu, refresh, state } from "./state.js";
import { cents, percent } from "./format.js";
import { costRatio, drawn } from "./figures.js";

// A plan keeps its colour while the menu stays: its place in the configuration.
export function colour(name) {
  const place = state.plans.findIndex((plan) => plan.name === name);
  return place < 0 ? "var(--ink-3)" : `var(--plan-${(place % 8) + 1})`;
}

// Lines that are no plans have the same colours in order.
export const hue = (index) => `var(--plan-${(index % 8) + 1})`;
export const named = (name, index) => h("span", { class: "plan" }, h("i", { style: { background: hue(index) }, "aria-hidden": "true" }), name);

export const planName = (name) => h("span", { class: "plan" }, h("i", { style: { background: colour(name) }, "aria-hidden": "true" }), name);

export const reference = () => state.plans.find((plan) => plan.reference)?.name ?? "";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
export const letter = (group) => (group === undefined || group === null ? "·" : LETTERS[group % 26]);

// The samples as they came: each a letter for its answer, the winner filled, the ones that were never drawn hollow.
export function votes(row) {
  const said = drawn(row, state.plans);
  const rest = said ? Math.min(said.left, 12) : 0;
  const won = winners(row);
  const words = `${row.samples.length} drawn: ${row.samples.map((one) => letter(one.group)).join(" ")}${said?.left ? `; ${said.left} not needed` : ""}`;
  return h("span", { class: "votes", role: "img", "aria-label": words, title: words },
    row.samples.slice(0, 16).map((one, index) => [
      index && row.samples[index - 1].stage !== one.stage ? h("b", { class: "then" }, "›") : null,
      h("i", { class: `vote ${one.finished ? "" : "cut"} ${won.has(one.id) ? "won" : ""}`, style: { "--hue": colour(row.plan) } }, letter(one.group))]),
    row.samples.length > 16 ? h("b", { class: "then" }, `+${row.samples.length - 16}`) : null, Array.from({ length: rest }, () => h("i", { class: "vote never" })));
}

export const bar = (value, label, hue = "var(--accent)") => h("span", { class: "bar", role: "img", "aria-label": label }, h("i", { style: { width: `${Math.max(0, Math.min(1, value)) * 100}%`, background: hue } }));

export const tile = (name, value, below, extra) => h("div", { class: "tile" }, h("h3", {}, name), h("p", { class: "big" }, value), extra ?? null, h("p", { class: "below" }, below));

// What is told of rows where there are none: that there are none, or that nobody can say.
export const none = (words, more) => (state.unread ? empty("Not known while decisions cannot be read.") : empty(words, more));

export const empty = (words, more) => h("div", { class: "empty" }, h("p", {}, words), more ? h("p", { class: "below" }, more) : null);

export function card(title, about, ...children) {
  return h("section", { class: "card", "aria-label": title }, h("header", {}, h("h2", {}, title), about ? h("p", { class: "below" }, about) : null), children);
}

// The saving of one row against what the reference plan was expected to cost for the same query; without an answer there is none.
export function saving(row) {
  if (row.status !== "STATUS_ANSWERED") return null;
  const other = (row.forecasts[reference()]?.cost ?? 0) * costRatio(state.rows, reference(), row.bundle);
  return other > 0 ? { share: 1 - row.cost / other, dollars: other - row.cost, other } : null;
}

export const savedText = (row) => {
  const found = saving(row);
  return found && row.plan !== reference() ? `${percent(Math.abs(found.share))} ${found.share >= 0 ? "saved" : "over"}` : "";
};

// Why it stopped, for people: a plan of one sample had nothing to stop.
export function stopText(row) {
  const said = drawn(row, state.plans);
  if (row.stop === "exhausted" && said) return said.most === 1 ? "one sample" : said.within.length === 1 && !said.left ? `all ${said.most} drawn` : said.within.length > 1 ? `went on to ${said.within.at(-1).stage.backend}` : row.stop;
  return row.stop.replace(/^enough: (.*)$/, (_, rule) => rule[0].toLowerCase() + rule.slice(1));
}

// The samples whose answer was chosen: those of its class, where the answer is kept, else the largest class of the last stage.
export function winners(row) {
  const last = Math.max(...row.samples.map((one) => one.stage));
  const stage = row.samples.filter((one) => one.stage === last && one.group !== undefined);
  const sizes = new Map();
  stage.forEach((one) => sizes.set(one.group, (sizes.get(one.group) ?? 0) + 1));
  const top = [...sizes].sort((a, b) => b[1] - a[1])[0]?.[0];
  const chosen = (row.answer ?? null) === null ? undefined : stage.find((one) => one.answer === row.answer)?.group;
  const group = chosen ?? top;
  return new Set(stage.filter((one) => one.group === group).map((one) => one.id));
}

// Ask before something is changed, then do it and say how it went. `act` makes the Admin call.
export function ask(title, words, yes, act) {
  const dialog = document.getElementById("dialog");
  const told = h("p", { class: "told", role: "alert" });
  const go = h("button", { class: "primary", type: "button", onclick: async () => {
    go.disabled = true;
    try {
      await act();
      dialog.close();
      await Promise.all([refresh(), menu()]);
    } catch (error) {
      told.textContent = error.message;
      go.disabled = false;
    }
  } }, yes);
  dialog.replaceChildren(h("h2", { id: "dialog-title" }, title), h("p", {}, words), told,
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
  dialog.showModal();
  go.focus();
}

export { call, show };
