// Anthropic's official Node SDK. EMULATOR_URL is the root URL of a running emulator.
import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";

import { session } from "./world.mjs";

const MODEL = "claude-sonnet-4-6";
const TOOL = {
  name: "get_weather",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const RULES = `
provider: anthropic
clock: virtual
rules:
  - {when: {last_user: {contains: think}}, reply: {reasoning: "Hm, well.", text: "Yes."}}
  - {when: {last_user: {contains: limit}}, replies: [{error: rate_limited, retry_after: 0}, {text: At last.}]}
  - {when: {last_user: {contains: busy}}, replies: [{error: overloaded}, {text: At last.}]}
  - {when: {last_user: {contains: spent}}, reply: {error: credit_exhausted}}
  - when: {last_user: {contains: broken}}
    reply: {text: One two three., stream: {split: words}, faults: [{error_event: {error: overloaded, after_chunks: 5}}]}
  - {when: {tool_result: {content: {contains: "21"}}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {text: I look., tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: city}}, reply: {text: '{"name": "Oslo", "people": 700000}'}}
  - {reply: {text: "Hi there, my friend!", stream: {split: words}}}
`;

async function world(options = {}) {
  const { id, api_key: apiKey, root, journal } = await session(RULES);
  const api = new Anthropic({ baseURL: `${root}/s/${id}/anthropic`, apiKey, maxRetries: 0, timeout: 5000, ...options });
  return { api, journal };
}

function ask(content, more = {}) {
  return { model: MODEL, max_tokens: 2000, messages: [{ role: "user", content }], ...more };
}

const said = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

test("create", async () => {
  const { api } = await world();
  const message = await api.messages.create(ask("hello"));
  assert.deepEqual([said(message), message.stop_reason, message.model], ["Hi there, my friend!", "end_turn", MODEL]);
  assert.ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0);
  assert.match(message._request_id, /^req_/);
});

test("stream", async () => {
  const { api } = await world();
  const texts = [];
  const stream = api.messages.stream(ask("hello")).on("text", (text) => texts.push(text));
  const message = await stream.finalMessage();
  assert.deepEqual(texts, ["Hi", " there,", " my", " friend!"]);
  assert.deepEqual([said(message), message.stop_reason], ["Hi there, my friend!", "end_turn"]);
});

for (const how of ["create", "stream"]) {
  test(`tool loop, ${how}`, async () => {
    const { api } = await world();
    const asked = ask("the weather?", { tools: [TOOL] });
    const first = how === "create" ? await api.messages.create(asked) : await api.messages.stream(asked).finalMessage();
    const call = first.content.find((block) => block.type === "tool_use");
    assert.deepEqual([first.stop_reason, call.name, call.input], ["tool_use", "get_weather", { city: "Oslo" }]);
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "21" }] };
    const messages = [...asked.messages, { role: "assistant", content: first.content }, result];
    assert.equal(said(await api.messages.create({ ...asked, messages })), "It is 21 degrees.");
  });
}

test("thinking goes back as it came", async () => {
  const { api } = await world();
  const asked = ask("think", { thinking: { type: "enabled", budget_tokens: 1024 } });
  const message = await api.messages.create(asked);
  const streamed = await api.messages.stream(asked).finalMessage();
  assert.equal(message.content[0].thinking, "Hm, well.");
  assert.deepEqual(streamed.content, message.content);
  const messages = [...asked.messages, { role: "assistant", content: message.content }, ...asked.messages];
  assert.equal(said(await api.messages.create({ ...asked, messages })), "Yes.");
  const changed = [{ ...message.content[0], thinking: "No." }, message.content[1]];
  messages[1] = { role: "assistant", content: changed };
  await assert.rejects(api.messages.create({ ...asked, messages }), Anthropic.BadRequestError);
});

test("structured output", async () => {
  const { api } = await world();
  const properties = { name: { type: "string" }, people: { type: "integer" } };
  const schema = { type: "object", properties, required: ["name", "people"], additionalProperties: false };
  const message = await api.messages.create(ask("a city", { output_config: { format: { type: "json_schema", schema } } }));
  assert.deepEqual(JSON.parse(said(message)), { name: "Oslo", people: 700000 });
});

test("tokens are counted, models listed", async () => {
  const { api } = await world();
  const { max_tokens: _, ...counted } = ask("hello");
  const few = await api.messages.countTokens(counted);
  const more = await api.messages.countTokens({ ...counted, system: "Be brief." });
  assert.ok(few.input_tokens > 0 && more.input_tokens > few.input_tokens);
  const names = [];
  for await (const model of api.models.list({ limit: 5 })) names.push(model.id);
  assert.ok(names.length > 15 && new Set(names).size === names.length && names.includes(MODEL));
});

const ERRORS = {
  "a field": [ask("hello", { bogus: 1 }), Anthropic.BadRequestError, /bogus: Extra inputs are not permitted/],
  "no model": [ask("hello", { model: "claude-0" }), Anthropic.NotFoundError, /model: claude-0/],
  spent: [ask("spent"), Anthropic.BadRequestError, /credit balance is too low/],
  limit: [ask("limit"), Anthropic.RateLimitError, /rate limit/],
  busy: [ask("busy"), Anthropic.InternalServerError, /Overloaded/],
};
for (const [name, [asked, kind, words]] of Object.entries(ERRORS)) {
  test(`error: ${name}`, async () => {
    const { api } = await world();
    await assert.rejects(api.messages.create(asked), (error) => {
      assert.ok(error instanceof kind, error.constructor.name);
      assert.match(error.message, words);
      assert.ok(error.requestID);
      return true;
    });
  });
}

test("a wrong key", async () => {
  const { api } = await world({ apiKey: "sk-ant-wrong" });
  await assert.rejects(api.messages.create(ask("hello")), Anthropic.AuthenticationError);
});

test("an error in the middle of a stream", async () => {
  const { api, journal } = await world({ maxRetries: 2 });
  await assert.rejects(api.messages.stream(ask("broken")).finalMessage(), /Overloaded/);
  assert.equal((await journal()).length, 1);
});

for (const [asked, status] of [["limit", 429], ["busy", 529]]) {
  test(`the SDK retries after a ${status}`, async () => {
    const { api, journal } = await world({ maxRetries: 2 });
    assert.equal(said(await api.messages.create(ask(asked))), "At last.");
    assert.deepEqual((await journal()).map((exchange) => exchange.response.status), [status, 200]);
  });
}

test("a miss is not retried", async () => {
  const { id, api_key: apiKey, root, journal } = await session("rules: [{when: {last_user: other}, reply: {text: x}}]");
  const api = new Anthropic({ baseURL: `${root}/s/${id}/anthropic`, apiKey, maxRetries: 3 });
  await assert.rejects(api.messages.create(ask("hello")), Anthropic.NotFoundError);
  assert.equal((await journal()).length, 1);
});
