// Numbers and times as people read them.

export const number = (value) => (value === undefined || value === null ? null : Number(value));
export const seconds = (duration) => (duration ? Number.parseFloat(duration) : null);
export const moment = (timestamp) => (timestamp ? Date.parse(timestamp) : null);

export function dollars(amount) {
  if (amount === null || amount === undefined || Number.isNaN(amount)) return "–";
  const size = Math.abs(amount);
  if (size === 0) return "$0";
  if (size >= 1000) return `${amount < 0 ? "−" : ""}$${Math.round(size).toLocaleString("en")}`;
  const digits = size >= 1 ? 2 : Math.min(6, 2 - Math.floor(Math.log10(size)));
  return `${amount < 0 ? "−" : ""}$${size.toFixed(digits)}`;
}

// One query may cost less than a thousandth of a cent: the wire's micro-dollars read better there.
export function cents(amount) {
  if (amount === null || amount === undefined || Number.isNaN(amount)) return "–";
  return Math.abs(amount) >= 0.01 || amount === 0 ? dollars(amount) : `${amount < 0 ? "−" : ""}${Number((Math.abs(amount) * 1e6).toPrecision(3)).toLocaleString("en")} µ$`;
}

export const percent = (share, digits = 0) =>
  share === null || share === undefined || Number.isNaN(share) ? "–" : `${(100 * share).toFixed(digits).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−")} %`;

export const share = (value) =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(Math.abs(value) < 0.0995 && value !== 0 ? 3 : 2).replace(/^(-?)0\./, "$1.").replace("-", "−");

export const count = (value) => (value === null || value === undefined ? "–" : Number(value).toLocaleString("en"));

export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 10000) return Math.round(value).toLocaleString("en");
  return Number(value.toPrecision(3)).toString();
}

export function span(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.9995) return `${Math.round(s * 1000)} ms`;
  if (s < 90) return `${Number(s.toPrecision(3))} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} d`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
export const hour = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
export const day = (ms) => new Date(ms).toLocaleString([], { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hour12: false });

export const word = (name, prefix) => (name ?? "").replace(prefix, "").toLowerCase().replaceAll("_", " ");
