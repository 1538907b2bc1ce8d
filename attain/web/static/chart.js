// Scales, ticks and axes; every chart is drawn with these.

import { s } from "./dom.js";

/** From values to pixels, linear or logarithmic; values outside are put on the nearest end. */
export function scale(low, high, start, end, log = false) {
  const a = log ? Math.log(low) : low;
  const b = log ? Math.log(high) : high;
  const at = (value) => {
    const v = Math.min(Math.max(value, low), high);
    return start + (((log ? Math.log(v) : v) - a) / (b - a || 1)) * (end - start);
  };
  return Object.assign(at, { low, high, start, end, log });
}

/** A linear scale a little wider than its values. */
export function around(values, start, end, share = 0.06) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (high - low < 1e-9 * Math.max(Math.abs(low), Math.abs(high), 1e-9)) {
    const pad = Math.abs(low) * 0.1 || 1;
    [low, high] = [low - pad, high + pad];
  }
  const margin = share * (high - low);
  return scale(low - margin, high + margin, start, end);
}

/** Values to be marked: multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, wanted = 5) {
  const power = 10 ** Math.floor(Math.log10((high - low) / wanted));
  for (const step of [10, 5, 2, 1, 0.5].map((m) => m * power)) {
    const first = Math.ceil(low / step - 1e-9);
    const last = Math.floor(high / step + 1e-9);
    if (last - first + 1 >= Math.max(2, 0.7 * wanted) || step === 0.5 * power) {
      const places = Math.min(8, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => {
        const value = Number(((first + i) * step).toFixed(12));
        return [value, label(value, places)];
      });
    }
  }
  return [];
}

/** A number as the report writes it. */
export function label(value, places) {
  const size = Math.abs(value);
  const text =
    size >= 1e6 || (size > 0 && size < 1e-4)
      ? value.toPrecision(3).replace(/\.?0+(e|$)/, "$1").replace("e+", "e")
      : value.toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  return text.replace("-", "−");
}

/** A number with up to four significant digits. */
export function brief(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return label(value, 0);
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return label(value, 0);
  const places = Math.max(0, 3 - Math.floor(Math.log10(size || 1)));
  return label(value, Math.min(places, 7)).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

export function bottom(x, y, title, top, wanted = 6) {
  return [
    ...ticks(x.low, x.high, wanted).map(([value, text]) =>
      s("text", { x: x(value), y: y + 16, "text-anchor": "middle" }, text),
    ),
    s("line", { class: "axis", x1: x.start, x2: x.end, y1: y, y2: y }),
    s("text", { x: x.end, y: y + 33, "text-anchor": "end" }, title),
  ];
}

export function left(y, x, title, right, wanted = 5) {
  return [
    ...ticks(y.low, y.high, wanted).flatMap(([value, text]) => [
      s("line", { class: "rule", x1: x, x2: right, y1: y(value), y2: y(value) }),
      s("text", { x: x - 8, y: y(value) + 4, "text-anchor": "end" }, text),
    ]),
    s("text", { x: 0, y: Math.min(y.start, y.end) - 12 }, title),
  ];
}

export function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

export function stairs(points) {
  return points
    .map(([x, y], i) => (i ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}`))
    .join("");
}

/** A picture of this size with a name for those who do not see it. */
export function picture(width, height, name, ...children) {
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": name },
    ...children,
  );
}

/** A title that shows under the pointer. */
export const tip = (text) => s("title", {}, text);

/** Values without the far tails, so that one bad trial does not flatten the picture. */
export function middle(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  const low = sorted[quarter];
  const high = sorted[sorted.length - 1 - quarter];
  const reach = 3 * (high - low) || Math.abs(low) * 0.05 || 1;
  return sorted.filter((v) => v >= low - reach && v <= high + reach);
}
