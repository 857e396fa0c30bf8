// Show where a model looked: at which source words, or where in a picture, for each word of its output.

import { element } from "./elements.js";
import { heatMap, largestWeight } from "./heatmap.js";
import { END, ofWords, toWords, WORD_START, wordsOf } from "./words.js";

const MENTIONED = 3; // source words named with their share
const HINT = "Point at a word to see where the model looked.";
const VEIL = 200; // opacity, of 255, over the parts of a picture where the model did not look

/** Return output and source words; the output word that is pointed at shades the source by its attention. */
export function textAttention(line) {
  const [words, sources] = [wordsOf(line.tokens), wordsOf(line.source_tokens)];
  const attention = toWords(ofWords(line.attention, words), sources);
  const source = element("div", { class: "source", dir: "auto", role: "group", "aria-label": "Source words" });
  const spans = appendWords(source, sources, () => element("span", { class: "source-word" }));
  const largest = largestWeight(attention);
  const looked = element("p", { class: "looked soft", "aria-live": "polite" }, HINT);

  function show(index) {
    const weights = index === null ? [] : attention[index];
    spans.forEach((span, place) => span.style.setProperty("--weight", (weights[place] ?? 0) / largest));
    looked.textContent = index === null ? HINT : describe(words[index], weights, sources);
  }
  const map = heatMap(words.map((word) => word.name), sources.map((word) => word.name), attention);
  return element("div", { class: "attention" }, ...output(line.text, words, show), source, looked, map);
}

/** Return a caption's words and its picture; the word that is pointed at lights up where the model looked. */
export function pictureAttention(line, pictureUrl) {
  const [height, width] = line.grid;
  const words = wordsOf(line.tokens);
  const attention = ofWords(line.attention, words);
  const canvas = element("canvas", { width, height, "aria-hidden": "true" });
  const picture = element("div", { class: "map" }, element("img", { src: pictureUrl, alt: "" }), canvas);
  picture.style.aspectRatio = `${width} / ${height}`; // models see the middle of a picture, cut to this shape
  const looked = element("p", { class: "looked soft", "aria-live": "polite" }, HINT);

  function show(index) {
    const weights = index === null ? null : attention[index];
    drawVeil(canvas, weights);
    looked.textContent = weights ? describePlace(words[index], weights, width, height) : HINT;
  }
  return element("div", { class: "attention" }, ...output(line.text, words, show), picture, looked);
}

/** Return the output as words to point at: the text itself where the words spell it, else both. */
function output(text, words, show) {
  const shown = words.filter((word) => word.name !== END);
  const spelled = shown.map((word) => (word.spaced ? " " : "") + named(word)).join("").trim() === text;
  const list = element("p", {
    class: spelled ? "output" : "output words", dir: "auto", role: "listbox", "aria-orientation": "horizontal",
    "aria-label": "Output words: choose one to see where the model looked",
  });
  const options = appendWords(list, shown, () => element("span", { class: "word", role: "option", tabindex: -1 }));
  if (options.length) options[0].tabIndex = 0;
  select(list, options, show);
  return spelled ? [list] : [element("p", { class: "output", dir: "auto" }, text), list];
}

/** Append a span for each word, with spaces between them; return the spans. A word may be no more than a space. */
function appendWords(parent, words, make) {
  return words.map((word) => {
    const text = named(word);
    if (word.spaced && text) parent.append(" ");
    const span = make();
    if (word.name === END) span.classList.add("soft");
    if (!text && span.role) span.ariaLabel = "space";
    span.textContent = text || " ";
    parent.append(span);
    return span;
  });
}

/**
 * Call `show` with the index of the word under the pointer, else of the one that last had the focus, else null.
 *
 * A word stays when the focus leaves it: what is below would move away from a click that takes the focus.
 */
function select(list, options, show) {
  let [current, kept] = [null, null];
  const choose = (option) => {
    if (option === current) return;
    current?.removeAttribute("aria-selected");
    option?.setAttribute("aria-selected", "true");
    current = option;
    show(option ? options.indexOf(option) : null);
  };
  list.addEventListener("pointerover", (event) => choose(event.target.closest("[role=option]") ?? kept));
  list.addEventListener("pointerleave", () => choose(kept));
  list.addEventListener("focusin", (event) => {
    for (const option of options) option.tabIndex = option === event.target ? 0 : -1;
    kept = event.target;
    choose(kept);
  });
  list.addEventListener("keydown", (event) => {
    const target = neighbour(event.key, options, kept, getComputedStyle(list).direction);
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

function describe(word, weights, sources) {
  const places = weights.map((weight, place) => [weight, place]).sort(([a], [b]) => b - a).slice(0, MENTIONED);
  const shares = places.map(([weight, place]) => `${sources[place].name} ${percent(weight)}`);
  return `${word.name} ← ${shares.join(", ")}`;
}

function describePlace(word, weights, width, height) {
  const largest = Math.max(...weights);
  const place = weights.indexOf(largest);
  const [row, column] = [Math.floor(place / width) + 1, (place % width) + 1];
  return `${word.name} ← most at row ${row}, column ${column} of ${height} × ${width}: ${percent(largest)}`;
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

/** Return what is shown of a word: nothing but a space where it is only the mark of a word's start. */
function named(word) {
  return word.name === WORD_START ? "" : word.name;
}

function percent(weight) {
  return `${Math.round(100 * weight)}\u00a0%`;
}
