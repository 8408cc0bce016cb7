// Figures as SVG: text that scales, colours of the theme, and every number again as a table for who cannot see them.

import { h, s } from "./dom.js";
import { cents, clock, dollars, hour, percent, share, short } from "./format.js";

const WIDE = 640, HIGH = 240, LEFT = 56, RIGHT = 14, TOP = 14, BOTTOM = 30;

const scale = (from, to, start, end) => (value) => start + ((value - from) / (to - from || 1)) * (end - start);

export function ticks(most, number = 4) {
  if (!(most > 0)) return [0];
  const rough = most / number, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  return Array.from({ length: Math.floor(most / step + 1.0001) }, (_, index) => index * step);
}

// A figure: what it shows in a sentence, the picture, and its numbers.
function figure(label, parts, table, size = [WIDE, HIGH]) {
  return h("figure", { class: "chart" },
    s("svg", { viewBox: `0 0 ${size[0]} ${size[1]}`, role: "img", "aria-label": label }, parts),
    h("details", { class: "numbers" }, h("summary", {}, "Numbers"), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${label}: numbers` },
      h("table", {}, h("thead", {}, h("tr", {}, table[0].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, table.slice(1).map((line) => h("tr", {}, line.map((cell) => h("td", {}, cell)))))))));
}

const grid = (values, y, text, right = WIDE - RIGHT) => values.map((value) => s("g", { class: "grid" },
  s("line", { x1: LEFT, x2: right, y1: y(value), y2: y(value) }), s("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, text(value))));

function times(from, to, x) {
  const text = to - from < 300000 ? clock : hour;
  return [0, 1, 2, 3, 4].map((part) => {
    const at = from + ((to - from) * part) / 4;
    return s("text", { class: "tick", x: x(at), y: HIGH - 8, "text-anchor": part === 0 ? "start" : part === 4 ? "end" : "middle" }, text(at));
  });
}

export function spendChart(data, colour) {
  const { buckets, width, pace, plans } = data;
  const from = buckets[0].at, to = buckets.at(-1).at + width;
  const most = Math.max(...buckets.map((one) => one.total), 1e-12) * 1.08;
  const shown = pace !== null && pace < most * 3 ? Math.max(most, pace * 1.1) : most;
  const x = scale(from, to, LEFT, WIDE - RIGHT), y = scale(0, shown, HIGH - BOTTOM, TOP);
  const gap = Math.min(3, (x(from + width) - x(from)) / 5);
  const bars = buckets.map((bucket) => {
    let low = 0;
    return s("g", {}, s("title", {}, `${clock(bucket.at)}: ${cents(bucket.total)}, ${bucket.queries} queries`), plans.filter((name) => bucket.by.get(name)).map((name) => {
      const amount = bucket.by.get(name), top = y(low + amount), bottom = y(low);
      low += amount;
      return s("rect", { x: x(bucket.at) + gap / 2, width: Math.max(1, x(bucket.at + width) - x(bucket.at) - gap), y: top, height: Math.max(0.5, bottom - top), rx: 1.5, style: { fill: colour(name) } });
    }));
  });
  const line = pace === null || pace > shown ? null : [
    s("line", { class: "pace", x1: LEFT, x2: WIDE - RIGHT, y1: y(pace), y2: y(pace) }), s("text", { class: "pace-name", x: WIDE - RIGHT, y: y(pace) - 6, "text-anchor": "end" }, "budget pace")];
  return figure(`Spending over time by plan${pace === null ? "" : `; the budget allows ${cents(pace)} per bar`}`,
    [grid(ticks(shown), y, cents), bars, line, times(from, to, x)],
    [["from", ...plans, "all", "queries"], ...buckets.map((one) => [clock(one.at), ...plans.map((name) => cents(one.by.get(name) ?? 0)), cents(one.total), one.queries])]);
}

export function priceChart(lines, colour) {
  const all = lines.flatMap((line) => line.points);
  const from = Math.min(...all.map(([at]) => at)), to = Math.max(...all.map(([at]) => at), from + 1000);
  const most = Math.max(...all.map(([, price]) => price), 1e-9) * 1.12;
  const x = scale(from, to, LEFT, WIDE - RIGHT), y = scale(0, most, HIGH - BOTTOM, TOP);
  const drawn = lines.map(({ name, points }, index) => {
    const path = points.map(([at, price], step) => (step ? `H${x(at).toFixed(1)}V${y(price).toFixed(1)}` : `M${x(at).toFixed(1)},${y(price).toFixed(1)}`)).join("");
    return s("g", { style: { "--hue": lines.length > 1 ? colour(index) : "var(--accent)" } }, s("title", {}, name || "price"), lines.length === 1 ? s("path", { class: "area", d: `${path}V${y(0)}H${x(points[0][0])}Z` }) : null,
      s("path", { class: "line", d: path }), s("circle", { class: "now", cx: x(points.at(-1)[0]), cy: y(points.at(-1)[1]), r: 4 }));
  });
  return figure("The price of compute over time, in right answers that a dollar must bring", [grid(ticks(most), y, short), drawn, times(from, to, x)],
    [["at", "tenant", "price"], ...lines.flatMap(({ name, points }) => points.filter((_, index) => index % Math.ceil(points.length / 20) === 0).map(([at, price]) => [clock(at), name || "all", short(price)]))]);
}

export function frontierChart(data, colour) {
  const all = [...data.plans, ...data.curve, data.here];
  const most = Math.max(...all.map((one) => one.cost)) * 1.12;
  const low = Math.max(0, Math.floor((Math.min(...all.map((one) => one.quality)) - 0.05) * 10) / 10), high = Math.min(1, Math.ceil((Math.max(...all.map((one) => one.quality)) + 0.03) * 10) / 10);
  const wide = 960, tall = 400, x = scale(0, most, LEFT, wide - RIGHT), y = scale(low, high, tall - 48, TOP);
  const values = ticks(high - low, 5).map((one) => low + one);
  const curve = data.curve.map((one, index) => `${index ? "L" : "M"}${x(one.cost).toFixed(1)},${y(one.quality).toFixed(1)}`).join("");
  const points = [...data.plans, data.here].map((one) => [x(one.cost), y(one.quality)]);
  const taken = points.map(([px, py]) => [px - 8, py - 8, px + 8, py + 8]);
  const names = [{ ...data.here, name: "here", bold: true }, ...[...data.plans].sort((a, b) => b.quality - a.quality)].map((one) => label(one.name, x(one.cost), y(one.quality), taken, wide, one.bold));
  const here = points.at(-1);
  return figure("Expected quality against cost per 1,000 queries: every plan alone, choosing per query at each price, and where we are", [
    grid(values, y, share, wide - RIGHT), ticks(most * 1000, 6).map((one) => s("text", { class: "tick", x: x(one / 1000), y: tall - 26, "text-anchor": "middle" }, dollars(one))),
    s("text", { class: "axis", x: (wide + LEFT) / 2, y: tall - 6, "text-anchor": "middle" }, "$ per 1,000 queries"), s("text", { class: "axis", x: LEFT, y: 4 }, "expected quality"),
    s("path", { class: "line", d: curve }),
    data.plans.map((plan) => s("circle", { class: "plan", cx: x(plan.cost), cy: y(plan.quality), r: 6.5, style: { fill: colour(plan.name) } }, s("title", {}, plan.name))), names,
    s("g", { class: "here" }, s("path", { d: `M${here[0]},${here[1] - 10}l10,10l-10,10l-10,-10z` }, s("title", {}, "where we are"))),
  ], [["what", "$ per 1,000", "expected quality"], ...data.plans.map((plan) => [plan.name, dollars(plan.cost * 1000), share(plan.quality)]), ["here", dollars(data.here.cost * 1000), share(data.here.quality)],
    ...data.curve.filter((_, index) => index % 6 === 0).map((one) => [`at price ${short(one.price)}`, dollars(one.cost * 1000), share(one.quality)])], [wide, tall]);
}

// A name beside its point, at the first place around it that is free; `taken` are boxes, and gets one more.
function label(name, px, py, taken, wide, bold) {
  const width = name.length * 7.2, places = [];
  for (const down of [0, 16, -16, 32, -32, 48]) places.push([px + 13, py + 4 + down], [px - 13 - width, py + 4 + down]);
  const box = ([left, base]) => [left, base - 11, left + width, base + 4];
  const free = places.find((place) => { const one = box(place); return one[0] > LEFT && one[2] < wide && taken.every((other) => one[2] < other[0] || one[0] > other[2] || one[3] < other[1] || one[1] > other[3]); }) ?? places[0];
  taken.push(box(free));
  return s("text", { class: bold ? "label bold" : "label", x: free[0], y: free[1] }, name);
}

export function reliabilityChart(data, name) {
  const size = 480, tall = 400, left = 46, x = scale(0, 1, left, size - 16), y = scale(0, 1, tall - 48, 12);
  const steps = [0, 0.25, 0.5, 0.75, 1];
  return figure(`${name}: predicted against reported, ${data.count} answers`, [
    steps.map((one) => s("g", { class: "grid" }, s("line", { x1: left, x2: size - 16, y1: y(one), y2: y(one) }), s("text", { x: left - 8, y: y(one) + 4, "text-anchor": "end" }, share(one)), s("text", { x: x(one), y: tall - 28, "text-anchor": "middle" }, share(one)))),
    s("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
    s("text", { class: "axis", x: (size + left) / 2, y: tall - 8, "text-anchor": "middle" }, "predicted"), s("text", { class: "axis", x: left + 6, y: 24 }, "reported"),
    data.bins.map((bin) => s("g", { class: "bin" }, s("title", {}, `predicted ${share(bin.predicted)}, reported ${share(bin.real)} of ${bin.count}`), s("line", { x1: x(bin.predicted), x2: x(bin.predicted), y1: y(bin.lo), y2: y(bin.hi) }), s("circle", { cx: x(bin.predicted), cy: y(bin.real), r: 5 }))),
  ], [["predicted", "reported", "from", "to", "answers"], ...data.bins.map((bin) => [share(bin.predicted), share(bin.real), percent(bin.lo), percent(bin.hi), bin.count])], [size, tall]);
}
