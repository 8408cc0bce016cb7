// The frame: pages by the part behind #, the clock that asks again, the mode, the theme.

import { h, show } from "./dom.js";
import { count, span, moment, word } from "./format.js";
import { ask, call } from "./parts.js";
import { menu, onChange, refresh, setKey, start, state } from "./state.js";
import * as overview from "./page_overview.js";
import * as decisions from "./page_decisions.js";
import * as decision from "./page_decision.js";
import * as budget from "./page_budget.js";
import * as quality from "./page_quality.js";
import * as plans from "./page_plans.js";
import * as bundles from "./page_bundles.js";

const REFRESH_MS = 2000, MENU_MS = 15000;
const PAGES = [["", overview], ["decisions", decisions], ["budget", budget], ["quality", quality], ["plans", plans], ["bundles", bundles]];
const MODES = [["MODE_BYPASS", "Bypass", "Everybody gets the reference plan and nothing is predicted. It ends all cleverness at once."], ["MODE_OBSERVE", "Observe", "Everybody gets the reference plan; what would have been chosen is logged."], ["MODE_APPLY", "Apply", "The plan that is drawn is served."]];
const main = document.getElementById("main");

function place() {
  const [name = "", id] = location.hash.replace(/^#\/?/, "").split("/");
  const found = PAGES.find(([one]) => one === name) ?? PAGES[0];
  return id && name === "decisions" ? { page: decision, id: decodeURIComponent(id), name } : { page: found[1], name: found[0] };
}

function render() {
  const { page, id, name } = place();
  document.title = `${page.title} · Apportion`;
  if (state.needsKey) show(main, signIn());
  else show(main, state.trouble ? warning("No answer", state.trouble) : state.unread ? warning("Decisions cannot be read", state.unread) : null, page.page(render, id));
  show(document.getElementById("pages"), PAGES.map(([one, module]) => h("a", { href: `#/${one}`, "aria-current": one === name ? "page" : null }, icon(one), h("span", {}, module.title))));
  show(document.getElementById("modes"), MODES.map(([mode, label, words]) => h("button", { type: "button", "aria-pressed": String(state.status?.mode === mode), "data-acts": `${mode} ${state.status?.mode}`, disabled: !state.status,
    onclick: () => state.status?.mode !== mode && ask(`${label}?`, words, label, () => call("SetMode", { mode })) }, label)));
  show(document.getElementById("pulse"), pulse());
}

const warning = (title, words) => h("section", { class: "warn", role: "alert" }, h("h2", {}, title), h("p", {}, words));

function pulse() {
  const { status } = state;
  if (state.trouble) return h("span", { class: "badge bad" }, "no answer");
  if (!status) return h("span", {}, "connecting…");
  return h("span", {}, h("i", { class: "live", "aria-hidden": "true" }), `${word(status.mode, "MODE_")} · ${status.bundle ? `bundle ${status.bundle.slice(0, 12)}` : "no bundle"} · ${status.replica} · up ${span((Date.now() - moment(status.started_at)) / 1000)}${status.draining ? " · draining" : ""}${Number(status.queued_rows) > 500 ? ` · ${count(status.queued_rows)} rows wait` : ""}`);
}

const SHAPES = { "": "M3 10l7-6 7 6v7H3z", decisions: "M3 5h14M3 10h14M3 15h9", budget: "M3 16h14M5 16V9m5 7V4m5 12v-5", quality: "M3 16C8 15 9 6 17 4M3 4v12h14", plans: "M4 4h5v5H4zM11 11h5v5h-5zM9 6.5h4.5v4.5", bundles: "M10 3l7 4-7 4-7-4zM3 11l7 4 7-4" };

function icon(name) {
  const box = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  box.setAttribute("viewBox", "0 0 20 20");
  box.setAttribute("aria-hidden", "true");
  line.setAttribute("d", SHAPES[name]);
  box.append(line);
  return box;
}

function signIn() {
  const field = h("input", { id: "key", type: "password", autocomplete: "current-password", required: true });
  return h("form", { class: "card sign-in", "data-acts": "sign-in", onsubmit: (event) => { event.preventDefault(); setKey(field.value.trim()); start(); } },
    h("h1", {}, "Sign in"), h("p", {}, "The console is for operators: `apportion token NAME --role operator` makes a token."), h("label", { for: "key" }, "Token"), field, h("p", { class: "told", role: "alert" }, state.trouble), h("div", { class: "buttons" }, h("button", { class: "primary", type: "submit" }, "Sign in")));
}

function dark(value) {
  if (value) document.documentElement.dataset.theme = value;
  return document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

document.getElementById("theme").addEventListener("click", () => localStorage.setItem("apportion-theme", dark(dark() === "dark" ? "light" : "dark")));
dark(localStorage.getItem("apportion-theme"));
addEventListener("hashchange", () => { render(); scrollTo(0, 0); main.focus({ preventScroll: true }); });
onChange(render);

async function every(ms, act) {
  for (;;) {
    await new Promise((done) => setTimeout(done, ms));
    if (!document.hidden && !state.needsKey) await act();
  }
}

render();
await start();
every(REFRESH_MS, refresh);
every(MENU_MS, menu);
