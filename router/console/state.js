// What is known now, and who asks for it. One object, changed here alone; pages are told when it changed.

import { moment, number, seconds } from "./format.js";

export const KEPT = 1000; // rows that figures are made of
const FIRST = 50;
const PAGE = 200;

export const state = {
  status: null, plans: [], backends: [], bundles: null, bundlesWhy: "", accounts: [], rows: [], more: "", trouble: "", unread: "", needsKey: false,
};

const told = new Set();
export const onChange = (tell) => told.add(tell);
const changed = () => told.forEach((tell) => tell());

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const key = () => sessionStorage.getItem("apportion-key") ?? "";
export const setKey = (value) => (value ? sessionStorage.setItem("apportion-key", value) : sessionStorage.removeItem("apportion-key"));

export async function call(name, body = {}) {
  const headers = { "Content-Type": "application/json" };
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const reply = await fetch(`api/${name}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await reply.text();
  let value = {};
  try { value = JSON.parse(text); } catch { value = { message: text }; }
  if (!reply.ok) throw new Refused(reply.status, value.code ?? "", value.message || `${name}: ${reply.status}`);
  return value;
}

// What is seen first needs no outcomes and few rows; the rest follows.
export async function start() {
  await Promise.all([refresh({ page_size: 12 }), call("ListPlans").then((reply) => { state.plans = reply.plans; }, () => {})]);
  changed();
  await refresh();
  await menu();
  await backfill();
}

// The numbers that move: status, the money, the newest rows. Where the log cannot be read the rest is still told.
export async function refresh(first = { page_size: FIRST, with_outcomes: true }) {
  const [status, budget, page] = await Promise.allSettled([call("GetStatus"), call("GetBudget"), call("ListDecisions", first)]);
  const why = [status, budget].find((one) => one.status === "rejected")?.reason;
  if (!why) {
    state.status = status.value;
    setBudget(budget.value);
  }
  if (page.status === "fulfilled") {
    if (state.rows.length <= page.value.decisions.length) state.more = page.value.next_page_token;
    take(page.value.decisions.map(row));
  }
  state.needsKey = why?.status === 401 || why?.status === 403;
  state.trouble = why ? said(why) : "";
  state.unread = page.status === "rejected" && !why ? said(page.reason) : "";
  changed();
}

const said = (error) => (error instanceof Refused ? error.message : "the service does not answer");

// What changes seldom: plans, backends, bundles, accounts.
export async function menu() {
  const [plans, backends, bundles] = await Promise.allSettled([call("ListPlans"), call("ListBackends"), call("ListBundles")]);
  if (plans.status === "fulfilled") state.plans = plans.value.plans;
  if (backends.status === "fulfilled") state.backends = backends.value.backends;
  if (bundles.status === "fulfilled") state.bundles = bundles.value.bundles;
  else state.bundlesWhy = bundles.reason.message;
  await accounts();
  changed();
}

async function accounts() {
  const names = state.accountNames ?? [];
  const all = await Promise.allSettled(names.slice(0, 50).map((account) => call("GetBudget", { account })));
  state.accounts = all.filter((one) => one.status === "fulfilled").map((one) => account(one.value));
}

const account = ({ balance, price }) => ({
  name: balance.account, unit: balance.currency, limit: number(balance.limit), spent: number(balance.spent), reserved: number(balance.reserved),
  window: seconds(balance.window), endsIn: seconds(balance.ends_in), leased: number(balance.leased), price,
});

function setBudget(reply) {
  state.budget = account(reply);
  state.accountNames = reply.accounts;
}

async function backfill() {
  while (state.more && state.rows.length < KEPT) {
    try {
      const page = await call("ListDecisions", { page_size: PAGE, page_token: state.more, with_outcomes: true });
      state.more = page.next_page_token;
      take(page.decisions.map(row));
    } catch { return; }
    changed();
  }
}

// Newest first, each once; a row that comes again has newer outcomes.
function take(rows) {
  const known = new Map(state.rows.map((one) => [one.id, one]));
  rows.forEach((one) => known.set(one.id, one));
  state.rows = [...known.values()].sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1)).slice(0, KEPT);
}

// A row of the log with numbers for numbers.
export function row(sent) {
  const info = sent.info ?? {};
  return {
    id: sent.decision_id, at: moment(sent.created_at), tenant: sent.tenant, query: sent.query_text, hash: sent.query_hash,
    plan: info.plan, would: sent.would_plan, price: info.price, mode: info.mode, policy: info.policy, bundle: info.bundle, digest: info.digest,
    propensity: info.propensity, explored: info.explored, degraded: info.degraded ?? [], stop: info.stop_reason ?? "", latency: seconds(info.latency),
    probabilities: info.probabilities ?? {}, signals: info.signals ?? {}, status: sent.status, error: sent.error,
    cost: (sent.usage?.total?.cost_exact ?? 0) / 1e6, confidence: number(sent.confidence), answer: sent.answer, text: sent.answer_text,
    usable: sent.usable, unusable: sent.unusable_reason, replica: sent.replica, request: sent.request_id, session: sent.session_id,
    forecasts: Object.fromEntries((sent.forecasts ?? []).map((one) => [one.plan, { quality: number(one.quality), cost: one.cost / 1e6 }])),
    samples: (sent.samples ?? []).map((one) => ({
      id: one.sample_id, backend: one.backend, stage: one.stage, group: one.answer_class, answer: one.answer, confidence: number(one.confidence),
      text: (one.parts ?? []).map((part) => part.text ?? "").join(""), out: number(one.usage?.out), cost: (one.usage?.cost_exact ?? 0) / 1e6,
      latency: seconds(one.latency), finished: one.finished, why: one.finish_reason, prefix: one.prefix_tokens,
    })),
    outcomes: (sent.outcomes ?? []).map((one) => ({
      metric: one.metric, value: one.number ?? one.bool ?? one.label ?? one.comment ?? one.demonstration, source: one.source,
      reward: one.bool !== undefined ? Number(one.bool) : one.number !== undefined ? Math.min(1, Math.max(0, one.number)) : null,
    })),
    metadata: sent.metadata ?? {},
  };
}
