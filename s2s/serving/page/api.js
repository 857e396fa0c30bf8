// Requests to the server that this page comes from.

const TOKEN = "s2s-token";

export class ApiError extends Error {
  constructor(status, message, hint) {
    super(message);
    this.status = status;
    this.hint = hint;
  }
}

export function saveToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export async function listModels() {
  const answer = await request("v1/models", {});
  return answer.models;
}

export function translate(body, signal) {
  return post("v1/translate", body, signal);
}

export function caption(body, signal) {
  return post("v1/caption", body, signal);
}

function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

async function request(path, options) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the server does not answer", "is s2s serve still running?");
  }
  const values = await response.json().catch(() => ({}));
  if (!response.ok) {
    const fault = values.error ?? { message: `the server answered ${response.status}`, hint: null };
    throw new ApiError(response.status, fault.message, fault.hint);
  }
  return values;
}
