// Show where a model looked: at which source tokens, or where in a picture, for each token of its output.

import { element } from "./elements.js";

const WORD_START = "▁"; // first character of a token that starts a word
const END = "</s>";
const MENTIONED = 3; // source tokens named with their share
const HINT = "Point at a word to see where the model looked.";
const VEIL = 200; // opacity, of 255, over the parts of a picture where the model did not look

/** Return output and source tokens; the token that is pointed at shades the source by its attention [L][S]. */
export function textAttention(line) {
  const source = element("div", { class: "source", dir: "auto", role: "group", "aria-label": "Source tokens" });
  const spans = appendTokens(source, line.source_tokens, () => element("span", { class: "source-token" }));
  const largest = Math.max(...line.attention.flat());
  const looked = element("p", { class: "looked soft", "aria-live": "polite" }, HINT);

  function show(index) {
    const weights = index === null ? [] : line.attention[index];
    spans.forEach((span, place) => span.style.setProperty("--weight", (weights[place] ?? 0) / largest));
    looked.textContent = index === null ? HINT : describe(line.tokens[index], weights, line.source_tokens);
  }
  return element("div", { class: "attention" }, ...output(line, show), source, looked);
}

/** Return a caption's tokens and its picture; the token that is pointed at lights up where the model looked. */
export function pictureAttention(line, pictureUrl) {
  const [height, width] = line.grid;
  const canvas = element("canvas", { width, height, "aria-hidden": "true" });
  const picture = element("div", { class: "map" }, element("img", { src: pictureUrl, alt: "" }), canvas);
  picture.style.aspectRatio = `${width} / ${height}`; // models see the middle of a picture, cut to this shape
  const looked = element("p", { class: "looked soft", "aria-live": "polite" }, HINT);

  function show(index) {
    const weights = index === null ? null : line.attention[index];
    drawVeil(canvas, weights);
    looked.textContent = weights ? describePlace(line.tokens[index], weights, width, height) : HINT;
  }
  return element("div", { class: "attention" }, ...output(line, show), picture, looked);
}

/** Return the output as tokens to point at: the text itself where the tokens spell it, else both. */
function output(line, show) {
  const tokens = line.tokens.at(-1) === END ? line.tokens.slice(0, -1) : line.tokens;
  const spelled = tokens.join("").replaceAll(WORD_START, " ").trim() === line.text;
  const list = element("p", {
    class: spelled ? "output" : "output tokens", dir: "auto", role: "listbox", "aria-orientation": "horizontal",
    "aria-label": "Output tokens: choose one to see where the model looked",
  });
  const options = appendTokens(list, tokens, () => element("span", { class: "token", role: "option", tabindex: -1 }));
  if (options.length) options[0].tabIndex = 0;
  select(list, options, show);
  return spelled ? [list] : [element("p", { class: "output", dir: "auto" }, line.text), list];
}

/** Append a span for each token, with spaces between words; return the spans. A token may be no more than a space. */
function appendTokens(parent, tokens, make) {
  return tokens.map((token, index) => {
    const space = token === WORD_START;
    if (index > 0 && !space && (token.startsWith(WORD_START) || token === END)) parent.append(" ");
    const span = make();
    if (token === END) span.classList.add("soft");
    if (space && span.role) span.ariaLabel = "space";
    span.textContent = space ? " " : spoken(token);
    parent.append(span);
    return span;
  });
}

/** Call `show` with the index of the token under the pointer, else of the one with the focus, else null. */
function select(list, options, show) {
  let current = null;
  const choose = (option) => {
    if (option === current) return;
    current?.removeAttribute("aria-selected");
    option?.setAttribute("aria-selected", "true");
    current = option;
    show(option ? options.indexOf(option) : null);
  };
  const focused = () => options.find((option) => option === document.activeElement) ?? null;
  list.addEventListener("pointerover", (event) => choose(event.target.closest("[role=option]") ?? focused()));
  list.addEventListener("pointerleave", () => choose(focused()));
  list.addEventListener("focusin", (event) => {
    for (const option of options) option.tabIndex = option === event.target ? 0 : -1;
    choose(event.target);
  });
  list.addEventListener("focusout", () => choose(null));
  list.addEventListener("keydown", (event) => {
    const target = neighbour(event.key, options, focused(), getComputedStyle(list).direction);
    if (!target) return;
    event.preventDefault();
    target.focus();
  });
}

function neighbour(key, options, option, direction) {
  const index = options.indexOf(option);
  const forward = direction === "rtl" ? "ArrowLeft" : "ArrowRight";
  const backward = direction === "rtl" ? "ArrowRight" : "ArrowLeft";
  const targets = { [forward]: index + 1, [backward]: index - 1, Home: 0, End: options.length - 1 };
  return options[targets[key]];
}

function describe(token, weights, sourceTokens) {
  const places = weights.map((weight, place) => [weight, place]).sort(([a], [b]) => b - a).slice(0, MENTIONED);
  const named = places.map(([weight, place]) => `${spoken(sourceTokens[place])} ${percent(weight)}`);
  return `${spoken(token)} ← ${named.join(", ")}`;
}

function describePlace(token, weights, width, height) {
  const largest = Math.max(...weights);
  const place = weights.indexOf(largest);
  const [row, column] = [Math.floor(place / width) + 1, (place % width) + 1];
  return `${spoken(token)} ← most at row ${row}, column ${column} of ${height} × ${width}: ${percent(largest)}`;
}

/** Cover the cells of a picture, the less the more the model looked there. */
function drawVeil(canvas, weights) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!weights) return;
  const image = context.createImageData(canvas.width, canvas.height);
  const largest = Math.max(...weights);
  weights.forEach((weight, place) => (image.data[4 * place + 3] = VEIL * (1 - weight / largest)));
  context.putImageData(image, 0, 0);
}

/** Return a token as it is named: without the mark of a word's start, unless it is nothing else. */
function spoken(token) {
  return token.length > 1 && token.startsWith(WORD_START) ? token.slice(1) : token;
}

function percent(weight) {
  return `${Math.round(100 * weight)}\u00a0%`;
}
