// The list of models to choose from.

import { byId, element } from "./elements.js";

export const MOST = 4; // models at once
const FILTERED = 8; // models; a longer list has a filter

/** Models of a registry, and which of them are chosen. */
export class ModelList {
  constructor(models, changed) {
    this.models = models;
    this.changed = changed;
    this.task = "translate";
    this.references = new Set(); // chosen, in the order of choice
    byId("filter").addEventListener("input", () => this.show());
  }

  /** Return the chosen models of the present task. */
  get chosen() {
    return [...this.references].map((one) => this.find(one)).filter((model) => model.task === this.task);
  }

  /** Return the model with a reference, if there is one. */
  find(reference) {
    return this.models.find((model) => model.reference === reference);
  }

  has(task) {
    return this.models.some((model) => model.task === task);
  }

  /** Choose the models with these references; return those that are not in the registry. */
  choose(references) {
    const [known, unknown] = [[], []];
    for (const one of references) (this.find(one) ? known : unknown).push(one);
    this.references = new Set(known.slice(0, MOST));
    return unknown;
  }

  /** Choose up to two models of the present task, loaded ones first, of the same languages. */
  chooseSome() {
    const ready = this.models.filter((model) => model.task === this.task).sort((a, b) => b.resident - a.resident);
    const alike = ready.filter((model) => languages(model) === languages(ready[0]));
    for (const model of alike.slice(0, 2)) this.references.add(model.reference);
  }

  /** Note which models are loaded now. */
  update(models) {
    this.models = models;
    for (const one of this.references) if (!this.find(one)) this.references.delete(one);
    this.show();
  }

  /** Show the models of the present task. */
  show() {
    const offered = this.models.filter((model) => model.task === this.task);
    const filter = byId("filter");
    filter.hidden = offered.length <= FILTERED;
    const wanted = filter.hidden ? "" : filter.value.trim().toLowerCase();
    const shown = offered.filter((model) => searched(model).includes(wanted) || this.references.has(model.reference));
    const focused = document.activeElement?.value;
    byId("models").replaceChildren(...shown.map((model) => this.#choice(model)));
    byId("models").querySelector(`input[value="${CSS.escape(focused ?? "")}"]`)?.focus();
    this.#count();
  }

  #choice(model) {
    const box = element("input", { type: "checkbox", value: model.reference });
    box.checked = this.references.has(model.reference);
    box.addEventListener("change", () => {
      if (box.checked) this.references.add(model.reference);
      else this.references.delete(model.reference);
      this.#count();
      this.changed();
    });
    const aliases = model.aliases.map((alias) => `@${alias}`).join(" ");
    return element("label", { class: "model", title: model.description || null },
      box,
      element("span", { class: "about" },
        element("span", { class: "name" }, model.reference, " ", element("span", { class: "soft" }, aliases)),
        element("span", { class: "soft" }, `${languages(model)} · ${model.architecture}`),
        element("span", { class: "badges" },
          model.attention ? element("span", { class: "badge" }, "attention") : null,
          model.resident ? element("span", { class: "badge good" }, "loaded") : null)));
  }

  #count() {
    const count = this.chosen.length;
    byId("chosen").textContent = `${count} of at most ${MOST}`;
    for (const box of byId("models").querySelectorAll("input")) box.disabled = count >= MOST && !box.checked;
  }
}

/** Return what a model translates from and to. */
export function languages(model) {
  const source = model.task === "caption" ? "picture" : model.source_language ?? "?";
  return `${source} → ${model.target_language ?? "?"}`;
}

function searched(model) {
  return [model.reference, ...model.aliases, languages(model), model.architecture].join(" ").toLowerCase();
}
