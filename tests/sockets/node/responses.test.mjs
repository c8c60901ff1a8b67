// The official Node SDK on OpenAI's Responses, and its helpers on OpenAI's chat. EMULATOR_URL is the root URL of a running emulator.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { world } from "./world.mjs";

const MODEL = "gpt-5.4-mini";
const PARAMETERS = {
  type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false,
};
const WEATHER = { type: "function", name: "get_weather", parameters: PARAMETERS, strict: true };
const PLACE = { type: "json_schema", name: "place", schema: PARAMETERS, strict: true };
const SCENARIO = `
rules:
  - {when: {last_user: {contains: limit}}, replies: [{error: rate_limited, retry_after: 0.01}, {text: Second try.}]}
  - {when: {last_user: {contains: quota}}, reply: {error: quota_exhausted}}
  - {when: {tool_result: {name: get_weather, content: {contains: "21"}}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: Hello}}, reply: {text: "Hi there, my friend!", stream: {split: words}}}
unmatched: built-in
`;
const hello = { model: MODEL, input: "Hello!" };
const make = (options) => world(SCENARIO, "openai", options);

test("responses: create", async () => {
  const { api } = await make();
  const answer = await api.responses.create(hello);
  assert.equal(answer.output_text, "Hi there, my friend!");
  assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
  assert.deepEqual((await api.responses.retrieve(answer.id)).output, answer.output);
  const items = [];
  for await (const item of api.responses.inputItems.list(answer.id)) items.push(item.content[0].text);
  assert.deepEqual(items, ["Hello!"]);
  await api.responses.delete(answer.id);
  await assert.rejects(api.responses.retrieve(answer.id), OpenAI.NotFoundError);
});

test("responses: stream", async () => {
  const { api } = await make();
  const texts = [];
  const numbers = [];
  for await (const event of await api.responses.create({ ...hello, stream: true })) {
    numbers.push(event.sequence_number);
    if (event.type === "response.output_text.delta") texts.push(event.delta);
  }
  assert.deepEqual(texts, ["Hi", " there,", " my", " friend!"]);
  assert.deepEqual(numbers, [...numbers.keys()]);
});

test("responses: the stream helper gathers the answer", async () => {
  const { api } = await make();
  const stream = api.responses.stream({ model: MODEL, input: "The weather?", tools: [WEATHER] });
  const answer = await stream.finalResponse();
  assert.equal(answer.output.find((item) => item.type === "function_call").arguments, '{"city":"Oslo"}');
});

test("responses: a tool loop", async () => {
  const { api } = await make();
  const asked = await api.responses.create({ model: MODEL, input: "The weather?", tools: [WEATHER] });
  const { call_id } = asked.output.find((item) => item.type === "function_call");
  const input = [{ type: "function_call_output", call_id, output: "21" }];
  const told = await api.responses.create({ model: MODEL, input, previous_response_id: asked.id, tools: [WEATHER] });
  assert.equal(told.output_text, "It is 21 degrees.");
});

test("responses: structured output", async () => {
  const { api } = await make();
  const asked = { model: MODEL, input: "Where?", text: { format: PLACE } };
  const answer = await api.responses.parse(asked);
  assert.equal(typeof answer.output_parsed.city, "string");
  assert.deepEqual((await api.responses.stream(asked).finalResponse()).output_parsed, answer.output_parsed);
});

test("responses: the SDK retries after a 429", async () => {
  const { api, journal } = await make({ maxRetries: 2 });
  assert.equal((await api.responses.create({ model: MODEL, input: "limit" })).output_text, "Second try.");
  assert.deepEqual((await journal()).map((exchange) => exchange.response.status), [429, 200]);
});

test("responses: errors", async () => {
  const { api } = await make();
  const wrong = [
    [{ ...hello, model: "gpt-nine" }, OpenAI.BadRequestError, "model_not_found"],
    [{ ...hello, response_format: { type: "text" } }, OpenAI.BadRequestError, "unsupported_parameter"],
    [{ ...hello, input: "quota" }, OpenAI.RateLimitError, "insufficient_quota"],
  ];
  for (const [asked, kind, code] of wrong) {
    await assert.rejects(api.responses.create(asked), (error) => error instanceof kind && error.code === code);
  }
});

for (const stream of [false, true]) {
  test(`chat: the tool runner${stream ? ", streamed" : ""}`, async () => {
    const { api, journal } = await make();
    const runner = api.chat.completions.runTools({
      model: MODEL,
      stream,
      messages: [{ role: "user", content: "The weather?" }],
      tools: [{
        type: "function",
        function: { name: "get_weather", parameters: PARAMETERS, parse: JSON.parse, function: ({ city }) => `21 in ${city}` },
      }],
    });
    assert.equal(await runner.finalContent(), "It is 21 degrees.");
    assert.equal((await journal()).length, 2);
  });
}
