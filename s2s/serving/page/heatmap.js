// A heat map of attention: a row for each word of the output, a column for each of the source.

import { element } from "./elements.js";

const MOST_CELLS = 10_000;
const MEANING = "Rows are the words of the output, columns those of the source; the stronger the color, the more attention.";

/** Return a disclosure that draws attention between named words when it is opened; null if it is too large. */
export function heatMap(outputs, sources, attention) {
  if (outputs.length * sources.length > MOST_CELLS) return null;
  const area = element("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Heat map" });
  const details = element("details", {}, element("summary", {}, "Heat map"), area);
  details.addEventListener("toggle", () => {
    if (!area.firstChild) area.append(table(outputs, sources, attention));
  });
  return details;
}

/** Return the largest of all weights, row by row: a call cannot take a million arguments. */
export function largestWeight(attention) {
  return attention.reduce((largest, row) => Math.max(largest, ...row), 0);
}

function table(outputs, sources, attention) {
  const largest = largestWeight(attention);
  const heads = sources.map((name) => element("th", {}, element("span", { dir: "auto" }, name)));
  const rows = outputs.map((name, row) => element("tr", {},
    element("th", { dir: "auto" }, name),
    ...sources.map((source, column) => cell(attention[row][column], largest, `${name} ← ${source}`))));
  return element("table", { class: "heat-map", role: "img", "aria-label": MEANING },
    element("thead", {}, element("tr", {}, element("td"), ...heads)), element("tbody", {}, ...rows));
}

function cell(weight, largest, meaning) {
  const made = element("td", { title: `${meaning} ${Math.round(100 * weight)}\u00a0%` });
  made.style.setProperty("--weight", weight / largest);
  return made;
}
