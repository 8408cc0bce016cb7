// From rows to what is drawn. Every figure says how many rows it stands on; what cannot be said is null.

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => (values.length ? sum(values) / values.length : null);

// The reward in [0, 1] of a row by one metric: the mean of what was reported; null where nothing was.
export function reward(row, metric) {
  return mean(row.outcomes.filter((one) => one.metric === metric && one.reward !== null).map((one) => one.reward));
}

// Metrics that have rewards, the most frequent first.
export function metrics(rows) {
  const seen = new Map();
  for (const row of rows) for (const one of row.outcomes) if (one.reward !== null) seen.set(one.metric, (seen.get(one.metric) ?? 0) + 1);
  return [...seen].sort((a, b) => b[1] - a[1]).map(([name]) => name);
}

export const answered = (rows) => rows.filter((row) => row.status === "STATUS_ANSWERED");

// What plans really cost over what was forecast, by bundle and plan: another bundle, or none, forecasts otherwise. A plan with
// few rows has the ratio of all plans of its bundle. Memory of the last call.
let corrected = { rows: null, ratios: null };
export function costRatio(rows, plan, bundle) {
  if (corrected.rows !== rows) {
    const ratios = new Map();
    for (const row of answered(rows)) {
      const forecast = row.forecasts[row.plan]?.cost;
      if (!(forecast > 0)) continue;
      for (const key of [row.bundle, `${row.bundle} ${row.plan}`]) {
        const own = ratios.get(key) ?? [0, 0, 0];
        ratios.set(key, [own[0] + row.cost, own[1] + forecast, own[2] + 1]);
      }
    }
    corrected = { rows, ratios };
  }
  const own = corrected.ratios.get(`${bundle} ${plan}`), all = corrected.ratios.get(bundle);
  return own && own[2] >= 10 ? own[0] / own[1] : all ? all[0] / all[1] : 1;
}

// What the last rows cost, against the reference plan's forecasts for the same queries (at what it really costs), and what was expected of them.
export function totals(rows, reference) {
  const done = answered(rows);
  const compared = done.filter((row) => row.forecasts[reference]);
  const expected = done.filter((row) => (row.forecasts[row.plan]?.quality ?? null) !== null);
  const own = sum(compared.map((row) => row.cost));
  const other = sum(compared.map((row) => row.forecasts[reference].cost * costRatio(rows, reference, row.bundle)));
  const metric = metrics(rows)[0] ?? "";
  const rewards = done.map((row) => reward(row, metric)).filter((value) => value !== null);
  return {
    queries: rows.length, cost: mean(done.map((row) => row.cost)), samples: mean(done.map((row) => row.samples.length)),
    saved: other > 0 ? 1 - own / other : null, savedDollars: other - own,
    quality: mean(expected.map((row) => row.forecasts[row.plan].quality)), metric, reward: mean(rewards), rewards: rewards.length,
    latency: middle(done.map((row) => row.latency).filter((value) => value !== null)), failed: rows.filter((row) => row.status === "STATUS_FAILED").length,
  };
}

function middle(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor((sorted.length - 1) / 2)] : null;
}

// Spending by time and plan, in at most `most` equal buckets; `pace` is what the budget allows per bucket.
export function spending(rows, budget, most = 40) {
  if (rows.length < 2) return null;
  const last = rows[0].at, first = rows.at(-1).at;
  const width = nice(Math.max(1000, (last - first) / most));
  const from = Math.floor(first / width) * width;
  const buckets = Array.from({ length: Math.floor((last - from) / width) + 1 }, (_, index) => ({ at: from + index * width, by: new Map(), total: 0, queries: 0 }));
  for (const row of rows) {
    const bucket = buckets[Math.floor((row.at - from) / width)];
    bucket.by.set(row.plan, (bucket.by.get(row.plan) ?? 0) + row.cost);
    bucket.total += row.cost;
    bucket.queries += 1;
  }
  const limit = budget?.limit ?? null;
  const pace = limit !== null && budget.unit === "USD" && budget.window ? (limit / 1e6) * (width / 1000 / budget.window) : null;
  return { buckets, width, pace, plans: plansOf(rows) };
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((s) => s * 1000);
const nice = (width) => STEPS.find((step) => step >= width) ?? Math.ceil(width / 86400000) * 86400000;

// The price that queries were decided at, oldest first, thinned to `most` points: a line for each of the five tenants with
// most queries, since each pays the price of its own account; one line where all pay the same.
export function prices(rows, most = 300) {
  const decided = rows.filter((row) => row.mode !== "MODE_BYPASS").reverse();
  const sizes = new Map();
  decided.forEach((row) => sizes.set(row.tenant, (sizes.get(row.tenant) ?? 0) + 1));
  const names = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 5).map(([name]) => name);
  const line = (name, all) => {
    const step = Math.max(1, Math.floor(all.length / most));
    return { name, points: all.filter((_, index) => index % step === 0 || index === all.length - 1).map((row) => [row.at, row.price]) };
  };
  const lines = names.map((name) => line(name, decided.filter((row) => row.tenant === name))).filter((one) => one.points.length > 1);
  const apart = lines.some((one) => Math.abs(one.points.at(-1)[1] - lines[0].points.at(-1)[1]) > 0.01 * lines[0].points.at(-1)[1]);
  return apart ? lines : decided.length > 1 ? [line("", decided)] : [];
}

export function plansOf(rows) {
  const seen = new Map();
  for (const row of rows) seen.set(row.plan, (seen.get(row.plan) ?? 0) + 1);
  return [...seen].sort((a, b) => b[1] - a[1]).map(([name]) => name);
}

// What every plan alone would give on these queries, what choosing per query gives at each price, and where we are.
// Costs are forecasts at what plans really cost. Only queries whose forecasts know the quality of all plans of the menu that was feasible for them take part.
export function frontier(rows) {
  const known = answered(rows).filter((row) => {
    const all = Object.values(row.forecasts);
    return all.length > 1 && row.forecasts[row.plan] && all.every((one) => one.quality !== null);
  });
  if (known.length < 10) return null;
  const names = plansOf(known.flatMap((row) => Object.keys(row.forecasts).map((plan) => ({ plan }))));
  const cost = (row, name) => row.forecasts[name].cost * costRatio(rows, name, row.bundle);
  const everywhere = names.filter((name) => known.every((row) => row.forecasts[name]));
  const plans = everywhere.map((name) => ({
    name, cost: mean(known.map((row) => cost(row, name))), quality: mean(known.map((row) => row.forecasts[name].quality)),
  }));
  const curve = [];
  for (let exponent = -1; exponent <= 6; exponent += 0.125) {
    const price = 10 ** exponent;
    const picked = known.map((row) => best(Object.entries(row.forecasts).map(([name, one]) => ({ quality: one.quality, cost: cost(row, name) })), price));
    curve.push({ price, cost: mean(picked.map((one) => one.cost)), quality: mean(picked.map((one) => one.quality)) });
  }
  const metric = metrics(known)[0] ?? "";
  const rewards = known.map((row) => reward(row, metric)).filter((value) => value !== null);
  return {
    queries: known.length, plans, curve: curve.sort((a, b) => a.cost - b.cost || a.quality - b.quality),
    here: { cost: mean(known.map((row) => row.cost)), quality: mean(known.map((row) => row.forecasts[row.plan].quality)) },
    real: rewards.length >= 20 ? { metric, reward: mean(rewards), count: rewards.length } : null,
  };
}

const best = (forecasts, price) => forecasts.reduce((top, one) => (one.quality - price * one.cost > top.quality - price * top.cost ? one : top));

// Predicted against reported, in bins of equal size; intervals are Wilson's at 95 %. Null under 20 outcomes.
export function reliability(rows, metric, predicted) {
  const pairs = answered(rows).map((row) => [predicted(row), reward(row, metric)]).filter(([p, y]) => p !== null && p !== undefined && y !== null).sort((a, b) => a[0] - b[0]);
  if (pairs.length < 20) return { count: pairs.length, bins: [] };
  const number = Math.min(10, Math.floor(pairs.length / 10));
  const bins = Array.from({ length: number }, (_, index) => {
    const part = pairs.slice(Math.round((index * pairs.length) / number), Math.round(((index + 1) * pairs.length) / number));
    const real = mean(part.map(([, y]) => y));
    return { predicted: mean(part.map(([p]) => p)), real, count: part.length, ...wilson(real, part.length) };
  });
  return { count: pairs.length, bins, error: sum(bins.map((bin) => (Math.abs(bin.predicted - bin.real) * bin.count) / pairs.length)) };
}

function wilson(rate, size) {
  const z = 1.96, shrink = 1 + (z * z) / size;
  const middlePoint = (rate + (z * z) / (2 * size)) / shrink;
  const half = (z / shrink) * Math.sqrt((rate * (1 - rate)) / size + (z * z) / (4 * size * size));
  return { lo: Math.max(0, middlePoint - half), hi: Math.min(1, middlePoint + half) };
}

// Plan by plan: share of the queries, cost, what was expected and what was reported.
export function byPlan(rows, names) {
  const done = answered(rows), metric = metrics(rows)[0] ?? "";
  return new Map(names.map((name) => {
    const own = done.filter((row) => row.plan === name);
    const rewards = own.map((row) => reward(row, metric)).filter((value) => value !== null);
    return [name, {
      queries: own.length, share: done.length ? own.length / done.length : 0, cost: mean(own.map((row) => row.cost)),
      quality: mean(own.map((row) => row.forecasts[name]?.quality ?? null).filter((value) => value !== null)),
      reward: mean(rewards), rewards: rewards.length, latency: middle(own.map((row) => row.latency).filter((value) => value !== null)),
    }];
  }));
}

// How many samples the stages that were reached might have drawn, and how many were; null for a plan that changed since.
export function drawn(row, plans) {
  const plan = plans.find((one) => one.name === row.plan && one.digest === row.digest);
  if (!plan || !row.samples.length) return null;
  const reached = plan.stages.slice(0, Math.max(...row.samples.map((one) => one.stage)) + 1);
  const most = sum(plan.stages.map((stage) => stage.max_samples || 1));
  const within = reached.map((stage, index) => ({ stage, samples: row.samples.filter((one) => one.stage === index) }));
  const cost = mean(row.samples.map((one) => one.cost));
  return { most, drawn: row.samples.length, within, left: Math.max(0, most - row.samples.length), skipped: plan.stages.slice(reached.length), cost };
}
