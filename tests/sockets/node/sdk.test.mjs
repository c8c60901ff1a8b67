// The official Node SDK against all providers, in brief. EMULATOR_URL is the root URL of a running emulator.
import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

import { world } from "./world.mjs";

const MODELS = {
  openai: "gpt-4.1",
  braintwin: "gpt-4",
  brainstormrouter: "claude-opus-4-6",
  brivionix: "gpt-5.4-mini",
  beatra: "auto",
};
const HELLO = [{ role: "user", content: "Hello!" }];
const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};

const GREETING = 'rules: [{reply: {text: "Hi there, my friend!", stream: {split: words}}}]';

for (const [provider, model] of Object.entries(MODELS)) {
  const hello = { model, messages: HELLO };

  test(`${provider}: create`, async () => {
    const { api } = await world(GREETING, provider);
    const answer = await api.chat.completions.create(hello);
    assert.equal(answer.choices[0].message.content, "Hi there, my friend!");
    assert.equal(answer.choices[0].finish_reason, "stop");
    const { prompt_tokens, completion_tokens, total_tokens } = answer.usage;
    assert.equal(total_tokens, prompt_tokens + completion_tokens);
  });

  test(`${provider}: stream, with usage`, async () => {
    const { api } = await world(GREETING, provider);
    const texts = [];
    let usage;
    const options = { stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await api.chat.completions.create({ ...hello, ...options })) {
      const text = chunk.choices[0]?.delta.content;
      if (text) texts.push(text);
      usage = chunk.usage ?? usage;
    }
    assert.deepEqual(texts, ["Hi", " there,", " my", " friend!"]);
    assert.ok(usage.total_tokens > 0);
  });

  test(`${provider}: a cut stream`, async () => {
    const fault = "faults: [{cut: {after_chunks: 3}}]";
    const { api, journal } = await world(`rules: [{reply: {text: a b c, ${fault}}}]`, provider, { maxRetries: 2 });
    const stream = await api.chat.completions.create({ ...hello, stream: true });
    await assert.rejects(async () => {
      for await (const chunk of stream) assert.ok(chunk.id);
    });
    assert.equal((await journal()).length, 1);
  });

  test(`${provider}: structured output`, async () => {
    const { api } = await world(undefined, provider);
    const schema = {
      type: "object",
      properties: { name: { type: "string" } },
      required: ["name"],
      additionalProperties: false,
    };
    const answer = await api.chat.completions.create({
      ...hello,
      max_tokens: 500,
      response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
    });
    assert.equal(typeof JSON.parse(answer.choices[0].message.content).name, "string");
  });

  test(`${provider}: refusals`, async () => {
    const { api } = await world(undefined, provider);
    await assert.rejects(api.chat.completions.create({ ...hello, temperature: "hot" }), OpenAI.BadRequestError);
    await assert.rejects(api.completions.create({ model, prompt: "hi" }), OpenAI.NotFoundError);
    const stranger = await world(undefined, provider, { apiKey: "sk-wrong" });
    await assert.rejects(stranger.api.chat.completions.create(hello), OpenAI.AuthenticationError);
  });

  const errors = {
    rate_limited: OpenAI.RateLimitError,
    server_error: OpenAI.InternalServerError,
    model_unavailable: OpenAI.InternalServerError,
  };
  for (const [name, kind] of Object.entries(errors)) {
    test(`${provider}: ${name}`, async () => {
      const { api } = await world(`rules: [{reply: {error: {name: ${name}, message: As asked.}}}]`, provider);
      await assert.rejects(api.chat.completions.create(hello), (error) => {
        assert.ok(error instanceof kind);
        assert.match(error.message, /As asked\./);
        return true;
      });
    });
  }

  test(`${provider}: the SDK retries after a 429`, async () => {
    const rules = "rules: [{replies: [{error: rate_limited, retry_after: 0.01}, {text: second try}]}]";
    const { api, journal } = await world(rules, provider, { maxRetries: 2 });
    const answer = await api.chat.completions.create(hello);
    assert.equal(answer.choices[0].message.content, "second try");
    const statuses = (await journal()).map((exchange) => exchange.response.status);
    assert.deepEqual(statuses, [429, 200]);
  });

  test(`${provider}: a miss is not retried`, async () => {
    const rules = "rules: [{when: {last_user: other}, reply: {text: x}}]";
    const { api, journal } = await world(rules, provider, { maxRetries: 3 });
    await assert.rejects(api.chat.completions.create(hello), OpenAI.NotFoundError);
    assert.equal((await journal()).length, 1);
  });
}

for (const provider of ["brainstormrouter", "brivionix"]) {
  const model = MODELS[provider];

  test(`${provider}: tool round trip`, async () => {
    const { api } = await world(undefined, provider);
    const messages = [{ role: "user", content: "What is the weather in Paris?" }];
    const first = await api.chat.completions.create({ model, messages, tools: [WEATHER] });
    assert.equal(first.choices[0].finish_reason, "tool_calls");
    const [call] = first.choices[0].message.tool_calls;
    assert.equal(call.function.name, "get_weather");
    messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21" });
    const second = await api.chat.completions.create({ model, messages, tools: [WEATHER] });
    assert.equal(second.choices[0].finish_reason, "stop");
  });

  test(`${provider}: tools streamed`, async () => {
    const reply = "{tool_calls: [{name: get_weather, arguments: {city: Paris}}], stream: {split: 4}}";
    const { api } = await world(`rules: [{reply: ${reply}}]`, provider);
    const stream = api.chat.completions.stream({ model, messages: HELLO, tools: [WEATHER] });
    const answer = await stream.finalChatCompletion();
    assert.equal(answer.choices[0].message.tool_calls[0].function.arguments, '{"city":"Paris"}');
  });
}

test("brivionix takes an image, beatra refuses it", async () => {
  const content = [
    { type: "text", text: "What is this?" },
    { type: "image_url", image_url: { url: "https://example.com/image.jpg" } },
  ];
  const messages = [{ role: "user", content }];
  const { api } = await world(undefined, "brivionix");
  const answer = await api.chat.completions.create({ model: "gpt-5.4-mini", messages });
  assert.ok(answer.choices[0].message.content);
  const beatra = await world(undefined, "beatra");
  await assert.rejects(beatra.api.chat.completions.create({ model: "auto", messages }), OpenAI.BadRequestError);
});

test("beatra: an idempotency key with another body", async () => {
  const { api } = await world(GREETING, "beatra");
  const options = { headers: { "Idempotency-Key": crypto.randomUUID() } };
  const first = await api.chat.completions.create({ model: "auto", messages: HELLO }, options);
  const again = await api.chat.completions.create({ model: "auto", messages: HELLO }, options);
  assert.deepEqual(again, first);
  const other = api.chat.completions.create({ model: "auto", messages: HELLO, temperature: 0.5 }, options);
  await assert.rejects(other, OpenAI.UnprocessableEntityError);
});

test("brainstormrouter: embeddings and models", async () => {
  const { api } = await world(undefined, "brainstormrouter");
  const packed = await api.embeddings.create({ model: "auto", input: ["one", "two"] });
  const floats = await api.embeddings.create({ model: "auto", input: "one", encoding_format: "float" });
  const [one, two] = packed.data.map((item) => Array.from(item.embedding));
  assert.equal(one.length, floats.data[0].embedding.length);
  one.forEach((number, index) => assert.ok(Math.abs(number - floats.data[0].embedding[index]) < 1e-6));
  assert.notDeepEqual(one, two);
  const names = [];
  for await (const model of api.models.list()) names.push(model.id);
  assert.ok(names.includes("claude-opus-4-6"));
});
