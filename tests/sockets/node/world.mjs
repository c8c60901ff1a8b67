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
export async function world(rules, provider, options = {}) {
  const scenario = rules && `emulator: 1\n${rules}`;
  const session = await control("POST", "/sessions", { scenario, plan: "unlimited" });
  const api = new OpenAI({
    baseURL: `${ROOT}/s/${session.id}/${provider}/v1`,
    apiKey: session.api_key,
    maxRetries: 0,
    timeout: 5000,
    ...options,
  });
  const journal = async () => (await control("GET", `/sessions/${session.id}/journal`)).exchanges;
  return { api, journal };
}
