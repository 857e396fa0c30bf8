// The page: choose models, enter a source, and see their outputs side by side.

import { ApiError, caption, listModels, saveToken, translate } from "./api.js";
import { imageView, tokenView } from "./attention.js";
import { element } from "./elements.js";

const MOST_MODELS = 4;
const ALTERNATIVES = 5;
const DIAGNOSTICS = {
  truncated: "cut off at the length limit",
  loop: "repeats itself",
  empty: "empty",
  copy: "copies the source",
  unknown_tokens: "many characters of the source are unknown",
  cut: "longer than the model takes: translated in parts",
  long_source: "longer than the sentences of training",
  incomplete: "seems to leave out part of the source",
};
const $ = (id) => document.getElementById(id);

let models = [];
let image = null; // of the chosen picture: its content in base64, and an address to show it
let running = null; // of the requests that are being answered

async function start() {
  try {
    models = await listModels();
  } catch (error) {
    fail(error);
    return;
  }
  $("token-input").hidden = true;
  $("error").hidden = true;
  const state = new URLSearchParams(location.hash.slice(1));
  const wanted = (state.get("models") ?? "").split(",").filter(Boolean);
  $("no-models").hidden = models.length > 0;
  $("models").replaceChildren(...models.map(choice));
  for (const box of boxes()) box.checked = wanted.includes(box.value);
  if (!boxes().some((box) => box.checked) && boxes().length) boxes()[0].checked = true;
  if (state.has("text")) $("text").value = state.get("text");
  update();
}

function choice(model) {
  const direction = model.source_language ? `${model.source_language} \u2192 ${model.target_language}` : model.task;
  const facts = [direction, model.attention ? "attention" : "no attention", ...(model.resident ? ["loaded"] : [])];
  const box = element("input", { type: "checkbox", name: "model", value: model.reference });
  box.addEventListener("change", () => changed(box));
  const name = element("span", {}, model.reference);
  return element(
    "label",
    { className: "choice", title: model.description },
    box,
    name,
    element("span", { className: "hint" }, facts.join(" \u00b7 ")),
  );
}

function boxes() {
  return [...document.querySelectorAll("input[name=model]")];
}

function chosen() {
  const references = boxes().filter((box) => box.checked).map((box) => box.value);
  return models.filter((model) => references.includes(model.reference));
}

// Models of text and models of pictures cannot be compared: choosing one kind drops the other.
function changed(box) {
  const task = models.find((model) => model.reference === box.value).task;
  if (box.checked) {
    for (const other of boxes()) {
      const model = models.find((one) => one.reference === other.value);
      if (model.task !== task) other.checked = false;
    }
  }
  update();
}

function update() {
  const selected = chosen();
  const ofImages = selected.some((model) => model.task === "caption");
  $("text-input").hidden = ofImages;
  $("image-input").hidden = !ofImages;
  $("run").textContent = ofImages ? "Describe" : "Translate";
  $("run").disabled = selected.length === 0 || running !== null;
  for (const box of boxes()) box.disabled = !box.checked && selected.length >= MOST_MODELS;
  const state = new URLSearchParams({ models: selected.map((model) => model.reference).join(",") });
  if ($("text").value) state.set("text", $("text").value);
  history.replaceState(null, "", `#${state}`);
}

async function run(event) {
  event.preventDefault();
  const selected = chosen();
  const ofImages = selected.some((model) => model.task === "caption");
  const lines = $("text").value.split("\n");
  if (running || !selected.length) return;
  if (ofImages ? !image : !$("text").value.trim()) {
    fail(new ApiError(0, ofImages ? "choose a picture first" : "enter a sentence first", null));
    return;
  }
  $("error").hidden = true;
  running = new AbortController();
  $("cancel").hidden = false;
  update();
  const cards = selected.map((model) => card(model));
  $("results").replaceChildren(...cards);
  let left = selected.length;
  $("status").textContent = waiting(left);
  await Promise.all(
    selected.map(async (model, index) => {
      try {
        await fill(cards[index], model, ofImages, lines, running.signal);
      } catch (error) {
        refuse(cards[index], error);
      }
      left -= 1;
      $("status").textContent = waiting(left);
    }),
  );
  running = null;
  $("cancel").hidden = true;
  $("legend").hidden = false;
  update();
}

function waiting(count) {
  if (count === 0) return "";
  return count === 1 ? "waiting for 1 model\u2026" : `waiting for ${count} models\u2026`;
}

function card(model) {
  const title = element("h2", {}, model.reference);
  const about = element("p", { className: "hint" }, model.architecture);
  const article = element("article", { ariaBusy: "true" }, title, about);
  article.append(element("p", { className: "hint" }, model.resident ? "computing\u2026" : "loading the model\u2026"));
  return article;
}

async function fill(article, model, ofImages, lines, signal) {
  const options = { model: model.reference, attention: model.attention };
  if ($("nbest").checked) Object.assign(options, { nbest: ALTERNATIVES, beam_size: ALTERNATIVES });
  const answer = ofImages
    ? await caption({ ...options, images: [image.content] }, signal)
    : await translate({ ...options, text: lines }, signal);
  const outputs = (answer.captions ?? answer.translations).filter((line) => line.tokens.length || lines.length === 1);
  const about = `${model.architecture} \u00b7 ${answer.engine}`;
  article.lastChild.remove();
  article.lastChild.textContent = about;
  article.append(...outputs.map((line) => output(line, model)));
  article.ariaBusy = "false";
  model.resident = true;
}

function output(line, model) {
  const found = element("div", { className: "output" });
  found.append(element("p", { className: "best", dir: "auto" }, line.text || "(nothing)"));
  found.append(element("p", { className: "hint" }, `score ${line.score.toFixed(3)} \u00b7 ${line.tokens.length} tokens`));
  if (line.diagnostics.length) {
    const words = line.diagnostics.map((name) => DIAGNOSTICS[name] ?? name).join(", ");
    found.append(element("p", { className: "diagnostics" }, words));
  }
  for (const part of line.parts ?? [line]) {
    if (part.attention && part.grid) found.append(imageView(part, image.url));
    else if (part.attention) found.append(tokenView(part));
  }
  if (!model.attention) {
    found.append(element("p", { className: "hint" }, "No attention: the decoder sees the whole source as one vector."));
  }
  if (line.nbest) found.append(alternatives(line.nbest));
  return found;
}

function alternatives(nbest) {
  const items = nbest.map((one) => element("li", { dir: "auto" }, `${one.text} (${one.score.toFixed(3)})`));
  return element("details", {}, element("summary", {}, `${nbest.length} alternatives`), element("ol", {}, ...items));
}

function refuse(article, error) {
  const text = error.name === "AbortError" ? "cancelled" : described(error);
  article.lastChild.remove();
  article.append(element("p", { className: "failed" }, text));
  article.ariaBusy = "false";
  if (error.status === 401) fail(error);
}

function fail(error) {
  $("token-input").hidden = error.status !== 401;
  $("error").textContent = described(error);
  $("error").hidden = false;
}

function described(error) {
  return error.hint ? `${error.message} (${error.hint})` : error.message;
}

async function choosePicture(file) {
  if (!file) return;
  const content = new Uint8Array(await file.arrayBuffer());
  let bytes = "";
  for (let place = 0; place < content.length; place += 8192) {
    bytes += String.fromCharCode(...content.subarray(place, place + 8192));
  }
  if (image) URL.revokeObjectURL(image.url);
  image = { content: btoa(bytes), url: URL.createObjectURL(file) };
  Object.assign($("preview"), { src: image.url, hidden: false });
}

$("form").addEventListener("submit", run);
$("cancel").addEventListener("click", () => running?.abort());
$("text").addEventListener("input", update);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("image").addEventListener("change", (event) => choosePicture(event.target.files[0]));
$("drop").addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
$("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  choosePicture(event.dataTransfer.files[0]);
});
$("save-token").addEventListener("click", () => {
  saveToken($("token").value);
  start();
});
start();
