// Show the tokens of an output; pointing at one shows where the model looked.

import { element } from "./elements.js";

const SPACE = "\u2581"; // marks the start of a word
const END = "</s>";

// Show source and output tokens of `line`, which has attention [output tokens][source tokens].
export function tokenView(line) {
  const sources = line.source_tokens.map((token) => piece("span", token));
  const view = element("div", {}, row("source", sources));
  view.append(outputRow(line, (weights) => shade(sources, weights)));
  return view;
}

// Show a picture under a grid of `line.grid` cells, and the output tokens.
export function imageView(line, url) {
  const [height, width] = line.grid;
  const cells = Array.from({ length: height * width }, () => element("span"));
  const grid = element("div", { className: "cells" }, ...cells);
  grid.style.setProperty("--columns", width);
  const picture = element("img", { src: url, alt: "The picture; lighter where the model looked" });
  const view = element("div", {}, element("div", { className: "map" }, picture, grid));
  const all = cells.map(() => 1);
  view.append(outputRow(line, (weights) => shade(cells, weights ?? all, Math.max(...(weights ?? all)))));
  shade(cells, all);
  return view;
}

function outputRow(line, show) {
  const pieces = line.tokens.map((token, index) => {
    const button = piece("button", token);
    button.type = "button";
    const look = () => {
      select(pieces, button);
      show(line.attention[index]);
    };
    const leave = () => {
      select(pieces, null);
      show(null);
    };
    button.addEventListener("pointerenter", look);
    button.addEventListener("focus", look);
    button.addEventListener("pointerleave", leave);
    button.addEventListener("blur", leave);
    return button;
  });
  return row("output", pieces);
}

function select(pieces, chosen) {
  for (const one of pieces) one.classList.toggle("current", one === chosen);
}

// Shade elements by their weights, as shares of `most`.
function shade(elements, weights, most = 1) {
  elements.forEach((one, index) => {
    const weight = weights ? weights[index] / most : 0;
    one.style.setProperty("--weight", weight.toFixed(3));
    if (weights) one.title = `${(100 * weights[index]).toFixed(1)} %`;
    else one.removeAttribute("title");
  });
}

function row(name, pieces) {
  return element("div", { className: "row", dir: "auto" }, element("span", { className: "name" }, name), ...pieces);
}

function piece(kind, token) {
  const isStart = token.startsWith(SPACE);
  const text = isStart ? token.slice(1) : token;
  const shown = token === END ? "(end)" : text || "\u2423";
  return element(kind, { className: isStart || token === END ? "piece start" : "piece" }, shown);
}
