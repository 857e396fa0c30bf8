// Outputs of models side by side: a row for each input, a cell in it for each model.

import { pictureAttention, textAttention } from "./attention.js";
import { byId, counted, element } from "./elements.js";
import { languages } from "./models.js";

const DIAGNOSTICS = {
  truncated: "cut off at the length limit",
  loop: "repeats itself",
  empty: "empty",
  copy: "copied from the source",
  unknown_tokens: "source has many unknown characters",
  cut: "sentence cut: longer than the model takes",
  long_source: "longer than the sentences of training",
  incomplete: "may leave out part of the source",
  lost_placeholders: "lacks placeholders or tags of the source",
  untagged: "source begins with none of the model's tags",
};

const NO_ATTENTION = "No attention: this model writes its whole output from one fixed vector of the source.";
const TOO_LONG = "Attention is shown for up to 50 lines of 4,000 characters in all.";

/** Show rows of waiting cells for inputs (text, or null for a picture); return the cells of each model, in order. */
export function showRows(inputs, models) {
  const columns = models.map((model) => inputs.map(() => waitingCell(model)));
  const rows = inputs.map((input, row) => {
    const cells = element("div", { class: "cells" }, ...columns.map((cells) => cells[row]));
    const heading = input === null ? null : element("h2", { class: "input", dir: "auto" }, input);
    return element("section", { class: "row" }, heading, cells);
  });
  byId("rows").replaceChildren(...rows);
  byId("results").hidden = false;
  rows[0].scrollIntoView({ block: "nearest" });
  return columns;
}

function waitingCell(model) {
  return element("article", { class: "card cell", "aria-busy": "true", "data-model": model.reference },
    element("header", {},
      element("h3", {}, model.reference),
      element("p", { class: "soft detail" }, languages(model))),
    element("div", { class: "body" }, element("p", { class: "waiting soft" }, "Waiting")));
}

/** Tell in the first cell of a model what it waits for. */
export function showProgress(cells, text) {
  cells[0].querySelector(".waiting").textContent = text;
}

/** Show the lines of an answer. `alternatives(index)` asks for the n best of a line. */
export function showLines(cells, { engine, lines }, { seconds, model, pictureUrl, wantAttention, alternatives }) {
  cells.forEach((cell, index) => {
    const detail = [languages(model), engine, ...(index ? [] : [`${seconds.toFixed(1)} s`])];
    cell.querySelector(".detail").textContent = detail.join(" · ");
    const line = lines[index];
    finish(cell,
      ...lineText(line, pictureUrl),
      attentionNote(model, wantAttention),
      element("p", { class: "figures" }, score(line), ...line.diagnostics.map(warning)),
      alternativesOf(() => alternatives(index)));
  });
}

/** Show an error in the first cell of a model; the others stay empty. */
export function showError(cells, error) {
  cells.forEach((cell, index) => finish(cell, index ? element("p", { class: "soft" }, "No output") : errorText(error)));
}

/** Show that there will be no output. */
export function showCancelled(cells) {
  for (const cell of cells) finish(cell, element("p", { class: "soft" }, "Cancelled"));
}

/** Return an error's message and hint. */
export function errorText(error) {
  return element("div", { class: "error", role: "alert" },
    element("p", {}, error.message), error.hint ? element("p", { class: "soft" }, error.hint) : null);
}

function finish(cell, ...children) {
  cell.removeAttribute("aria-busy");
  cell.querySelector(".body").replaceChildren(...children.filter((child) => child !== null));
}

/** Return the text of a line, with attention where there is some: the line's, or that of its parts. */
function lineText(line, pictureUrl) {
  const units = (line.parts ?? [line]).filter((unit) => unit.attention?.length);
  if (!units.length) return [element("p", { class: "output", dir: "auto" }, line.text || "—")];
  return units.map((unit) => (unit.grid ? pictureAttention(unit, pictureUrl) : textAttention(unit)));
}

function attentionNote(model, wantAttention) {
  if (!model.attention) return element("p", { class: "note" }, NO_ATTENTION);
  if (!wantAttention) return element("p", { class: "note" }, TOO_LONG);
  return null;
}

/** Return a line's average log-probability: each token counts the same, `</s>` included. */
function score(line) {
  const average = line.log_probability / Math.max(1, line.tokens.length);
  return element("span", { class: "score" },
    element("b", {}, average.toFixed(2).replace("-", "−")),
    ` average log-probability of ${counted(line.tokens.length, "token")}`);
}

function warning(name) {
  return element("span", { class: "badge warning" }, DIAGNOSTICS[name] ?? name);
}

/** Return a disclosure that asks for alternatives when it is opened, until it has them. */
function alternativesOf(ask) {
  const content = element("div", { "aria-live": "polite" });
  const details = element("details", {}, element("summary", {}, "Alternatives"), content);
  let state = "none";
  details.addEventListener("toggle", async () => {
    if (!details.open || state !== "none") return;
    state = "asked";
    content.replaceChildren(element("p", { class: "waiting soft" }, "Searching"));
    try {
      content.replaceChildren(alternativesList(await ask()));
    } catch (error) {
      state = "none";
      content.replaceChildren(errorText(error));
    }
  });
  return details;
}

/** Return a list of the n best of a beam search of size n; the model's own search may have found another one. */
function alternativesList(translations) {
  const items = translations.map((one) => element("li", {},
    element("p", { dir: "auto" }, one.text || "—"), element("p", { class: "figures" }, score(one))));
  return element("div", {},
    element("p", { class: "soft found" }, `The best ${items.length} of a beam search of that size`),
    element("ol", { class: "alternatives" }, ...items));
}
