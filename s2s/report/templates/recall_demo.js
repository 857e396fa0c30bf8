// Run models of the recall task: GRU networks with one fixed vector or with attention, and greedy search.
//
// S: source tokens, EOS included; H: units of a direction of the encoder. Tensors are in row-major order and have the
// names and shapes of the published weights.

const [UNK, BOS, EOS] = [1, 2, 3]; // padding is 0; a translation contains only EOS and what follows it
const TASK = JSON.parse(byId("demo-data").textContent);
const [SHORTEST, START] = [10, 30]; // tokens of drawn sources
const ROWS = 20; // words of an output whose attention is drawn: a right one has 8
const SCALE = 100; // steps of the slider, on a logarithmic scale

/** A model of the page. */
class Model {
  constructor({ name, weights, shapes, max_ratio }) {
    Object.assign(this, { name, maxRatio: max_ratio, tensors: {} });
    const halves = new DataView(Uint8Array.from(atob(weights), (one) => one.charCodeAt(0)).buffer);
    let start = 0;
    for (const [key, shape] of shapes) {
      const size = shape.reduce((product, length) => product * length, 1);
      const values = Float64Array.from({ length: size }, (_, index) => half(halves.getUint16(2 * (start + index), true)));
      this.tensors[key] = { values, columns: shape.at(-1) };
      start += size;
    }
    this.attends = "decoder.score.key_proj.weight" in this.tensors;
    this.embedding = this.tensors.weight;
  }

  /** Translate token ids: return tokens, and for each its attention [S] if the model has attention. */
  translate(source) {
    const { states, summary } = this.encode([...source, EOS]);
    const [tokens, attention] = [[], []];
    const limit = Math.trunc(this.maxRatio * source.length) + 10;
    const context = this.attends ? null : this.product("decoder.cells.0.context_proj", summary);
    let state = this.product("decoder.initial", summary).map(Math.tanh);
    let feed = new Float64Array(this.embedding.columns);
    for (let last = BOS; tokens.length < limit; tokens.push(last)) {
      const embedded = this.embed(last);
      const fed = context ?? this.product("decoder.cells.0.context_proj", feed);
      const inputs = sum(this.product("decoder.cells.0.input_proj", embedded), fed);
      state = gru(inputs, this.product("decoder.cells.0.recurrent_proj", state), state);
      const { vector, weights } = this.attends ? this.attend(state, states) : { vector: summary, weights: null };
      const read = sum(this.product("decoder.from_state", state), this.product("decoder.from_context", vector));
      feed = (this.attends ? read : sum(read, this.product("decoder.from_input", embedded))).map(Math.tanh);
      last = largest(sum(multiply(this.embedding, feed), this.tensors.bias.values), EOS);
      if (last === EOS) break;
      attention.push(weights);
    }
    return { tokens, attention: this.attends ? attention : null };
  }

  /** Return the states [S][2H] of both directions, and their last ones as one vector. */
  encode(ids) {
    const projected = new Map(ids.map((id) => [id, this.product("encoder.layers.0.input_proj", this.embed(id))]));
    const forward = this.read(0, ids, projected);
    const backward = this.read(1, [...ids].reverse(), projected);
    const summary = joined(forward.at(-1), backward.at(-1));
    return { states: forward.map((state, place) => joined(state, backward.at(-1 - place))), summary };
  }

  /** Return the states [S][H] of a direction; `projected` has the input gates of both directions for each token. */
  read(direction, ids, projected) {
    const [{ values, columns }, bias] = [this.tensors["encoder.layers.0.recurrent_proj"], this.tensors["encoder.layers.0.bias"]];
    const size = columns / 3;
    const weight = values.subarray(direction * size * columns, (direction + 1) * size * columns);
    const own = bias.values.subarray(direction * columns, (direction + 1) * columns);
    let state = new Float64Array(size);
    return ids.map((id) => {
      const gates = Float64Array.from(own);
      for (let row = 0; row < size; row += 1) {
        for (let column = 0; column < columns; column += 1) gates[column] += state[row] * weight[row * columns + column];
      }
      state = gru(projected.get(id).subarray(direction * columns, (direction + 1) * columns), gates, state);
      return state;
    });
  }

  /** Return the attention of a decoder state (Luong et al. 2015, equation 8, "general"), and the vector that it makes. */
  attend(state, states) {
    const { values, columns } = this.tensors["decoder.score.key_proj.weight"];
    const query = new Float64Array(columns); // s · W h = (Wᵀ s) · h: one product for all h
    state.forEach((value, row) => {
      for (let column = 0; column < columns; column += 1) query[column] += value * values[row * columns + column];
    });
    const weights = softmax(Float64Array.from(states, (other) => dot(query, other)));
    const vector = new Float64Array(columns);
    states.forEach((other, place) => {
      for (let column = 0; column < columns; column += 1) vector[column] += weights[place] * other[column];
    });
    return { vector, weights };
  }

  embed(id) {
    const { values, columns } = this.embedding;
    return values.subarray(id * columns, (id + 1) * columns);
  }

  /** Return W x + b of a layer; not all have a bias b. */
  product(layer, vector) {
    const found = multiply(this.tensors[`${layer}.weight`], vector);
    const bias = this.tensors[`${layer}.bias`];
    return bias ? sum(found, bias.values) : found;
  }
}

/** Return the value of a half-precision number, given its bits; none is infinite. */
function half(bits) {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, (bits & 1023) / 1024];
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
}

/** Return the next state of a GRU (Cho et al. 2014, with the reset gate applied as in torch.nn.GRU). */
function gru(inputs, recurrent, state) {
  const size = state.length;
  const sigmoid = (value) => 1 / (1 + Math.exp(-value));
  return state.map((old, unit) => {
    const reset = sigmoid(inputs[unit] + recurrent[unit]);
    const update = sigmoid(inputs[size + unit] + recurrent[size + unit]);
    const fresh = Math.tanh(inputs[2 * size + unit] + reset * recurrent[2 * size + unit]);
    return fresh + update * (old - fresh);
  });
}

function multiply({ values, columns }, vector) {
  return Float64Array.from({ length: values.length / columns }, (_, row) => {
    let total = 0;
    for (let column = 0; column < columns; column += 1) total += values[row * columns + column] * vector[column];
    return total;
  });
}

function dot(one, other) {
  return one.reduce((total, value, place) => total + value * other[place], 0);
}

function sum(one, other) {
  return one.map((value, place) => value + other[place]);
}

function joined(one, other) {
  const both = new Float64Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}

function softmax(scores) {
  const most = scores.reduce((one, other) => Math.max(one, other));
  const weights = scores.map((score) => Math.exp(score - most));
  const total = weights.reduce((one, other) => one + other);
  return weights.map((weight) => weight / total);
}

/** Return the place of the largest value, from `start` on; the first of several. */
function largest(values, start = 0) {
  let best = start;
  for (let place = start + 1; place < values.length; place += 1) if (values[place] > values[best]) best = place;
  return best;
}

/** Return a new source of about as many tokens, as the generator of the task draws them. */
function drawSource(tokens) {
  const most = Math.floor((tokens - 1 - TASK.queries) / 2);
  const pairs = Math.min(most >= TASK.queries ? most : Math.floor((tokens - 1) / 3), TASK.keys);
  const keys = shuffled(Array.from({ length: TASK.keys }, (_, key) => `k${key}`)).slice(0, pairs);
  const words = keys.flatMap((key) => [key, `v${Math.floor(Math.random() * TASK.values)}`]);
  return [...words, TASK.separator, ...shuffled(keys).slice(0, TASK.queries)].join(" ");
}

function shuffled(items) {
  for (let place = items.length - 1; place > 0; place -= 1) {
    const other = Math.floor(Math.random() * (place + 1));
    [items[place], items[other]] = [items[other], items[place]];
  }
  return items;
}

/** Return the right output of a source: each key that it asks for, and its value, or `–` if it has none. */
function answer(words) {
  const end = words.lastIndexOf(TASK.separator);
  if (end < 0) return [];
  const value = (key) => {
    const place = words.indexOf(key);
    return place >= 0 && place + 1 < end ? words[place + 1] : "–";
  };
  return words.slice(end + 1).flatMap((key) => [key, value(key)]);
}

function byId(id) {
  return document.getElementById(id);
}

/** Return a new element with a class, attributes and children; strings become text. */
function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Show what all models answer to the source of the page. */
function show() {
  const words = byId("demo-source").value.trim().split(/\s+/).filter(Boolean);
  const ids = words.map((word) => IDS.get(word) ?? UNK);
  const unknown = [...new Set(words.filter((word) => !IDS.has(word)))];
  const right = answer(words);
  byId("demo-count").textContent = `${words.length.toLocaleString("en")} tokens`;
  byId("demo-unknown").textContent = unknown.length ? `Unknown words: ${unknown.slice(0, 5).join(", ")}${unknown.length > 5 ? ", …" : ""}` : "";
  byId("demo-right").textContent = right.join(" ");
  MODELS.forEach((model, place) => showAnswer(byId(`demo-model-${place + 1}`), model, words, ids, right));
}

function showAnswer(area, model, words, ids, right) {
  const { tokens, attention } = ids.length ? model.translate(ids) : { tokens: [], attention: null };
  const output = tokens.map((token) => TASK.vocabulary[token]);
  const shown = output.flatMap((word, place) =>
    [word === right[place] ? word : element("mark", {}, word), " "]);
  area.querySelector(".answer").replaceChildren(...shown);
  const values = right.filter((_, place) => place % 2);
  const correct = values.filter((value, place) => value === output[2 * place + 1]).length;
  area.querySelector(".figures").textContent = values.length ? `${correct} of ${values.length} values correct` : "";
  const maps = (attention ?? []).slice(0, ROWS).map((weights, row) => lookedAt(output[row], weights, words));
  area.querySelector(".looked").replaceChildren(...maps);
}

/** Return a row that shows where in the source the model looked when it wrote a word. */
function lookedAt(word, weights, words) {
  const canvas = element("canvas", { width: weights.length, height: 1, "aria-hidden": "true" });
  const brush = canvas.getContext("2d");
  brush.fillStyle = getComputedStyle(byId("demo")).color;
  const most = largest(weights);
  weights.forEach((weight, place) => {
    brush.globalAlpha = weight / weights[most];
    brush.fillRect(place, 0, 1, 1);
  });
  const share = `${Math.round(100 * weights[most])} %`;
  const where = most < words.length ? `token ${(most + 1).toLocaleString("en")}, ${words[most]}` : "the end";
  return element("li", {}, element("span", {}, word), canvas, element("span", {}, `${share} at ${where}`));
}

function newSource() {
  const tokens = Math.round(SHORTEST * (TASK.longest / SHORTEST) ** (byId("demo-length").value / SCALE));
  byId("demo-source").value = drawSource(tokens);
  show();
}

const IDS = new Map(TASK.vocabulary.map((word, id) => [word, id]).slice(EOS + 1));
const MODELS = TASK.models.map((model) => new Model(model));
byId("demo-length").value = SCALE * Math.log(START / SHORTEST) / Math.log(TASK.longest / SHORTEST);
byId("demo-length").addEventListener("input", newSource);
byId("demo-new").addEventListener("click", newSource);
byId("demo-source").addEventListener("input", show);
byId("demo").hidden = false;
newSource();
