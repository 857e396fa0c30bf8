// Ask the server. If it wants a token, ask for one and try again.

import { byId } from "./elements.js";

const TOKEN = "s2s-token"; // key in sessionStorage

/** An answer other than the one asked for; `hint` may be null. */
export class ApiError extends Error {
  constructor(message, hint = null) {
    super(message);
    this.hint = hint;
  }
}

/** Return the models of the registry. */
export async function listModels() {
  return (await request("/v1/models")).models;
}

/** Translate lines; return {model, engine, translations}. */
export function translate(body, signal) {
  return request("/v1/translate", body, signal);
}

/** Caption images in base64; return {model, engine, captions}. */
export function caption(body, signal) {
  return request("/v1/caption", body, signal);
}

async function request(path, body, signal) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const response = await send(path, body, signal, token);
    if (response.status === 401) {
      await newToken(token, signal);
      continue;
    }
    const values = await response.json().catch(() => null);
    signal?.throwIfAborted();
    if (response.ok && values) return values;
    throw failure(response, values);
  }
}

async function send(path, body, signal, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const options = { headers, signal };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  try {
    return await fetch(path, options);
  } catch (error) {
    signal?.throwIfAborted();
    throw new ApiError("The server cannot be reached.", "Check that s2s serve is still running.");
  }
}

function failure(response, values) {
  const wait = response.headers.get("Retry-After");
  const message = values?.error?.message ?? `The server answered with status ${response.status}.`;
  return new ApiError(message, values?.error?.hint ?? (wait && `Try again in ${wait} s.`));
}

let asking = null; // a promise while the form is shown: several requests wait for one token

/** Wait until there is another token than the one refused. */
function newToken(refused, signal) {
  if (sessionStorage.getItem(TOKEN) !== refused) return null;
  asking ??= askForToken(refused !== null).finally(() => (asking = null));
  return Promise.race([asking, aborted(signal)]);
}

function askForToken(wasRefused) {
  const form = byId("token-form");
  const field = byId("token");
  if (wasRefused) byId("token-help").textContent = "The server did not accept this token.";
  form.hidden = false;
  field.focus();
  return new Promise((resolve) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sessionStorage.setItem(TOKEN, field.value.trim());
      field.value = "";
      form.hidden = true;
      resolve();
    }, { once: true });
  });
}

function aborted(signal) {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
