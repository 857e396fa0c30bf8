// The page: choose models, give them text or a picture, and show what they answer side by side.

import { caption, listModels, translate } from "./api.js";
import { byId, counted } from "./elements.js";
import { ModelList } from "./models.js";
import { readPicture, watchPictures } from "./pictures.js";
import { errorText, showCancelled, showError, showLines, showProgress, showRows } from "./results.js";

const ALTERNATIVES = 5; // hypotheses of the beam search that finds alternatives
const WITH_ATTENTION = { lines: 50, characters: 4000 }; // at most; attention of more is large, or refused
const LONGEST_LINK = 4000; // characters of text that the address holds

const [form, text, status] = [byId("form"), byId("text"), byId("status")];
const mac = /Mac|iPhone|iPad/.test(navigator.platform);
let list = null; // ModelList
let picture = null; // {file, url}
let running = null; // AbortController of the requests under way

async function start() {
  let models = [];
  try {
    models = await listModels();
  } catch (error) {
    byId("unavailable").replaceChildren(errorText(error));
    byId("unavailable").hidden = false;
    return;
  } finally {
    byId("loading").hidden = true;
  }
  byId("empty").hidden = models.length > 0;
  form.hidden = models.length === 0;
  list = new ModelList(models, writeHash);
  byId("tasks").hidden = !(list.has("translate") && list.has("caption"));
  readHash();
  listen();
}

function listen() {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  byId("cancel").addEventListener("click", () => running?.abort());
  byId("tasks").addEventListener("change", (event) => setTask(event.target.value));
  text.addEventListener("input", writeHash);
  window.addEventListener("hashchange", readHash);
  watchPictures(setPicture);
}

/** Show the models and the input of a task. */
function setTask(task) {
  list.task = task;
  form.elements.task.value = task;
  if (!list.chosen.length) list.chooseSome();
  byId("text-input").hidden = task !== "translate";
  byId("picture-input").hidden = task !== "caption";
  byId("run").textContent = task === "caption" ? "Describe" : "Translate";
  say(mac ? "⌘ Enter" : "Ctrl+Enter");
  list.show();
  writeHash();
}

function setPicture(file) {
  if (!list.has("caption")) return say("No model of this registry describes pictures.");
  picture = { file, url: URL.createObjectURL(file) };
  byId("preview").src = picture.url;
  byId("preview").hidden = false;
  byId("picture-name").textContent = file.name;
  setTask("caption");
}

/** Choose the models and the text of a link. */
function readHash() {
  const values = new URLSearchParams(location.hash.slice(1));
  const references = values.get("models")?.split(",").filter(Boolean) ?? [];
  const unknown = list.choose(references);
  const note = byId("model-note");
  note.textContent = `Not in this registry: ${unknown.join(", ")}`;
  note.hidden = unknown.length === 0;
  text.value = values.get("text") ?? text.value;
  const [first] = list.references;
  setTask(list.find(first)?.task ?? (list.has("translate") ? "translate" : "caption"));
}

/** Keep models and text in the address, so that it can be shared. */
function writeHash() {
  const values = new URLSearchParams({ models: list.chosen.map((model) => model.reference).join(",") });
  if (list.task === "translate" && text.value && text.value.length <= LONGEST_LINK) values.set("text", text.value);
  history.replaceState(null, "", `#${values}`);
}

/** Ask the chosen models, all at once. */
async function run() {
  const models = list.chosen;
  const pictures = list.task === "caption";
  const lines = text.value.split("\n").filter((line) => line.trim());
  if (running) return;
  if (!models.length) return say("Choose a model first.");
  if (pictures ? !picture : !lines.length) return say("There is no input yet.");

  const { signal } = (running = new AbortController());
  const question = pictures ? aboutPicture(picture) : aboutLines(lines);
  const columns = showRows(pictures ? [null] : lines, models);
  let [answered, failed] = [0, 0];
  setRunning(true);
  say(`Asking ${counted(models.length, "model")}…`);
  await Promise.all(models.map(async (model, index) => {
    if (await answer(question, model, columns[index], signal)) answered += 1;
    else failed += 1;
    say(`${answered} of ${counted(models.length, "model")} answered${failed ? `, ${failed} failed` : ""}.`);
  }));
  if (signal.aborted) say("Cancelled.");
  running = null;
  setRunning(false);
  list.update(await listModels().catch(() => list.models));
}

/**
 * Return how to ask a model about lines of text, or about the one with an index.
 *
 * Lines with attention or alternatives are translated whole. So are all others: every model has the same task.
 */
function aboutLines(lines) {
  const ask = async (model, options, signal, index) => {
    const asked = index === undefined ? lines : [lines[index]];
    const { engine, translations } = await translate({ model, text: asked, split: "off", ...options }, signal);
    return { engine, lines: translations };
  };
  const characters = lines.reduce((sum, line) => sum + line.length, 0);
  const wantAttention = lines.length <= WITH_ATTENTION.lines && characters <= WITH_ATTENTION.characters;
  return { ask, wantAttention, pictureUrl: null };
}

/** Return how to ask a model about a picture. */
function aboutPicture({ file, url }) {
  const ask = async (model, options, signal) => {
    const { engine, captions } = await caption({ model, images: [await readPicture(file)], ...options }, signal);
    return { engine, lines: captions };
  };
  return { ask, wantAttention: true, pictureUrl: url };
}

/** Show what a model answers; return whether it did. */
async function answer({ ask, wantAttention, pictureUrl }, model, cells, signal) {
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const doing = model.resident ? "Working" : "Loading the model";
  const progress = () => showProgress(cells, seconds() < 1 ? doing : `${doing}, ${Math.floor(seconds())} s`);
  progress();
  const timer = setInterval(progress, 1000);
  const alternatives = async (index) => {
    const options = { nbest: ALTERNATIVES, beam_size: ALTERNATIVES };
    return (await ask(model.reference, options, undefined, index)).lines[0].nbest;
  };
  try {
    const found = await ask(model.reference, { attention: wantAttention && model.attention }, signal);
    showLines(cells, found, { seconds: seconds(), model, pictureUrl, wantAttention, alternatives });
    return true;
  } catch (error) {
    if (signal.aborted) showCancelled(cells);
    else showError(cells, error);
    return false;
  } finally {
    clearInterval(timer);
  }
}

/** Show whether requests are under way. The button stays enabled, since a disabled one would lose the focus. */
function setRunning(on) {
  if (!on && document.activeElement === byId("cancel")) byId("run").focus();
  byId("run").setAttribute("aria-disabled", on);
  byId("cancel").hidden = !on;
}

function say(message) {
  status.textContent = message;
}

start();
