// Google's official Node SDK on Gemini's API. EMULATOR_URL is the root URL of a running emulator.
import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError, GoogleGenAI, Type } from "@google/genai";

import { session } from "./world.mjs";

const MODEL = "gemini-2.5-flash";
const FUNCTION = {
  name: "get_weather",
  description: "The weather of a city.",
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] },
};
const RULES = `
provider: gemini
clock: virtual
rules:
  - {when: {last_user: {contains: think}}, reply: {reasoning: "Hm, well.", text: "Yes."}}
  - {when: {last_user: {contains: limit}}, replies: [{error: rate_limited, retry_after: 9}, {text: At last.}]}
  - {when: {last_user: {contains: busy}}, replies: [{error: model_unavailable}, {text: At last.}]}
  - {when: {tool_result: {content: {contains: "21"}}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: city}}, reply: {text: {name: Oslo, people: 700000}}}
  - {reply: {text: "Hi there, my friend!", stream: {split: words}}}
unmatched: built-in
`;

/** Two words and an error: it comes by itself, as the SDK does not look for one behind a chunk. */
const BROKEN = `
provider: gemini
rules:
  - reply: {text: One two three., stream: {split: words, itl: 20ms}, faults: [{error_event: {error: server_error, after_chunks: 2}}]}
`;

async function world(httpOptions = {}, { key, rules = RULES } = {}) {
  const { id, api_key: apiKey, root, journal } = await session(rules);
  const ai = new GoogleGenAI({
    apiKey: key ?? apiKey,
    httpOptions: { baseUrl: `${root}/s/${id}/gemini`, timeout: 5000, ...httpOptions },
  });
  return { ai, journal };
}

async function told(stream) {
  const texts = [];
  for await (const chunk of await stream) if (chunk.text) texts.push(chunk.text);
  return texts;
}

for (const apiVersion of ["v1beta", "v1"]) {
  test(`create and stream at ${apiVersion}`, async () => {
    const { ai } = await world({ apiVersion });
    const answer = await ai.models.generateContent({ model: MODEL, contents: "hello" });
    assert.deepEqual([answer.text, answer.candidates[0].finishReason], ["Hi there, my friend!", "STOP"]);
    const { promptTokenCount, candidatesTokenCount, totalTokenCount } = answer.usageMetadata;
    assert.equal(totalTokenCount, promptTokenCount + candidatesTokenCount);
    const texts = await told(ai.models.generateContentStream({ model: MODEL, contents: "hello" }));
    assert.deepEqual(texts, ["Hi", " there,", " my", " friend!"]);
  });
}

for (const model of [MODEL, "gemini-3.8-flash"]) {
  test(`tool loop, ${model}`, async () => {
    const { ai } = await world();
    const config = { tools: [{ functionDeclarations: [FUNCTION] }] };
    const asked = { role: "user", parts: [{ text: "the weather?" }] };
    const first = await ai.models.generateContent({ model, contents: [asked], config });
    const [call] = first.functionCalls;
    assert.deepEqual([call.name, call.args], ["get_weather", { city: "Oslo" }]);
    const functionResponse = { id: call.id, name: call.name, response: { temp_c: 21 } };
    const contents = [asked, first.candidates[0].content, { role: "user", parts: [{ functionResponse }] }];
    assert.equal((await ai.models.generateContent({ model, contents, config })).text, "It is 21 degrees.");
  });
}

test("a chat", async () => {
  const { ai } = await world();
  const chat = ai.chats.create({ model: MODEL });
  for (const message of ["hello", "hello again"]) {
    assert.equal((await chat.sendMessage({ message })).text, "Hi there, my friend!");
  }
  assert.equal(chat.getHistory().length, 4);
});

test("structured output", async () => {
  const { ai } = await world();
  const properties = { name: { type: Type.STRING }, people: { type: Type.INTEGER } };
  const config = { responseMimeType: "application/json", responseSchema: { type: Type.OBJECT, properties } };
  const answer = await ai.models.generateContent({ model: MODEL, contents: "a city", config });
  assert.deepEqual(JSON.parse(answer.text), { name: "Oslo", people: 700000 });
});

test("thoughts are told where they are asked for", async () => {
  const { ai } = await world();
  for (const includeThoughts of [true, false]) {
    const config = { thinkingConfig: { includeThoughts } };
    const answer = await ai.models.generateContent({ model: MODEL, contents: "think", config });
    const thoughts = answer.candidates[0].content.parts.filter((part) => part.thought).map((part) => part.text);
    assert.deepEqual([thoughts, answer.text], [includeThoughts ? ["Hm, well."] : [], "Yes."]);
    assert.ok(answer.usageMetadata.thoughtsTokenCount > 0);
  }
});

test("tokens are counted, texts embedded, models listed", async () => {
  const { ai } = await world();
  assert.ok((await ai.models.countTokens({ model: MODEL, contents: "hello" })).totalTokens > 0);
  const config = { outputDimensionality: 256 };
  const made = await ai.models.embedContent({ model: "gemini-embedding-001", contents: ["one", "two"], config });
  assert.deepEqual(made.embeddings.map((item) => item.values.length), [256, 256]);
  const names = [];
  for await (const model of await ai.models.list({ config: { pageSize: 5 } })) names.push(model.name);
  assert.ok(names.length > 10 && new Set(names).size === names.length && names.includes(`models/${MODEL}`));
});

const ERRORS = {
  "a field": [{ config: { temperature: 3 } }, 400, "INVALID_ARGUMENT"],
  "no model": [{ model: "gemini-0" }, 404, "NOT_FOUND"],
  limit: [{ contents: "limit" }, 429, "RESOURCE_EXHAUSTED"],
  busy: [{ contents: "busy" }, 503, "UNAVAILABLE"],
};
for (const [name, [asked, status, word]] of Object.entries(ERRORS)) {
  test(`error: ${name}`, async () => {
    const { ai, journal } = await world();
    await assert.rejects(ai.models.generateContent({ model: MODEL, contents: "hello", ...asked }), (error) => {
      assert.ok(error instanceof ApiError, error.constructor.name);
      assert.deepEqual([error.status, JSON.parse(error.message).error.status], [status, word]);
      return true;
    });
    assert.equal((await journal()).length, 1);
  });
}

test("a limit says when to come again", async () => {
  const { ai } = await world();
  await assert.rejects(ai.models.generateContent({ model: MODEL, contents: "limit" }), (error) => {
    const retry = JSON.parse(error.message).error.details.find((item) => item["@type"].endsWith("RetryInfo"));
    return retry.retryDelay === "9s";
  });
});

test("a wrong key", async () => {
  const { ai } = await world({}, { key: "AIza-invalid" });
  await assert.rejects(ai.models.generateContent({ model: MODEL, contents: "hello" }), { status: 400 });
});

test("an error in the middle of a stream", async () => {
  const { ai, journal } = await world({ retryOptions: { attempts: 2 } }, { rules: BROKEN });
  const stream = ai.models.generateContentStream({ model: MODEL, contents: "hello" });
  await assert.rejects(told(stream), (error) => error instanceof ApiError && /INTERNAL/.test(error.message));
  assert.equal((await journal()).length, 1);
});

for (const [asked, status] of [["limit", 429], ["busy", 503]]) {
  test(`the SDK retries after a ${status}, where it is told to`, async () => {
    const { ai, journal } = await world({ retryOptions: { attempts: 2, initialDelay: 0.01, jitter: 0 } });
    assert.equal((await ai.models.generateContent({ model: MODEL, contents: asked })).text, "At last.");
    assert.deepEqual((await journal()).map((exchange) => exchange.response.status), [status, 200]);
  });
}
