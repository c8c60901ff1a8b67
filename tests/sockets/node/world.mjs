// A session of the emulator at EMULATOR_URL for each test, and a client of it.
import assert from "node:assert/strict";

import OpenAI from "openai";

const ROOT = process.env.EMULATOR_URL;

async function control(method, path, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${ROOT}/_emulator${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${response.status} for ${path}`);
  return response.json();
}

/** Make a session; rules are a scenario's YAML without its first line. */
export async function session(rules) {
  const scenario = rules && `emulator: 1\n${rules}`;
  const made = await control("POST", "/sessions", { scenario, plan: "unlimited" });
  const journal = async () => (await control("GET", `/sessions/${made.id}/journal`)).exchanges;
  return { ...made, root: ROOT, journal };
}

/** Make a session, and a client of OpenAI's at a provider. */
export async function world(rules, provider, options = {}) {
  const { id, api_key: apiKey, root, journal } = await session(rules);
  const baseURL = `${root}/s/${id}/${provider}/v1`;
  return { api: new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 5000, ...options }), journal };
}
