// The AI SDK and the OpenAI Agents SDK of JavaScript, on chat and on Responses. EMULATOR_URL is the root of a running emulator.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createOpenAI } from "@ai-sdk/openai";
import { Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, run, setTracingDisabled, tool as agentTool } from "@openai/agents";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const ROOT = process.env.EMULATOR_URL;
const MODEL = "gpt-5.4-mini";
const SCENARIO = `
emulator: 1
provider: openai
rules:
  - when: {last_user: {contains: limit}}
    replies: [{error: rate_limited, retry_after: 0.01}, {text: The second try.}]
  - {when: {last_user: {contains: quota}}, reply: {error: quota_exhausted}}
  - {when: {last_user: {contains: too long}}, reply: {error: context_exceeded}}
  - {when: {tool_result: {name: get_weather, content: {contains: "21"}}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: Hello}}, reply: {text: "Hi there, my friend!", stream: {split: words}}}
unmatched: built-in
`;
const CITY = z.object({ city: z.string() });
const PLACE = z.object({ city: z.string(), people: z.number().int() });
const HI = "Hi there, my friend!";

async function control(method, path, body) {
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${ROOT}/_emulator${path}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(response.ok, `${response.status} for ${path}`);
  return response.json();
}

async function world() {
  const session = await control("POST", "/sessions", { scenario: SCENARIO });
  const options = { baseURL: session.base_urls.openai, apiKey: session.api_key };
  const journal = async () => (await control("GET", `/sessions/${session.id}/journal`)).exchanges;
  return { options, statuses: async () => (await journal()).map((exchange) => exchange.response.status) };
}

for (const form of ["chat", "responses"]) {
  const make = async () => {
    const { options, statuses } = await world();
    return { model: createOpenAI(options)[form](MODEL), statuses };
  };
  const weather = tool({ description: "The weather", inputSchema: CITY, execute: async ({ city }) => `21 in ${city}` });

  test(`AI SDK, ${form}: create`, async () => {
    const { model } = await make();
    const { text, usage } = await generateText({ model, prompt: "Hello" });
    assert.equal(text, HI);
    assert.ok(usage.totalTokens > 0);
  });

  test(`AI SDK, ${form}: stream`, async () => {
    const { model } = await make();
    const result = streamText({ model, prompt: "Hello" });
    const texts = [];
    for await (const text of result.textStream) texts.push(text);
    assert.deepEqual(texts, ["Hi", " there,", " my", " friend!"]);
    assert.equal(await result.finishReason, "stop");
    assert.ok((await result.usage).totalTokens > 0);
  });

  for (const stream of [false, true]) {
    test(`AI SDK, ${form}: a tool loop${stream ? ", streamed" : ""}`, async () => {
      const { model, statuses } = await make();
      const asked = { model, prompt: "What is the weather?", tools: { get_weather: weather }, stopWhen: stepCountIs(3) };
      const text = stream ? await streamText(asked).text : (await generateText(asked)).text;
      assert.equal(text, "It is 21 degrees.");
      assert.deepEqual(await statuses(), [200, 200]);
    });

    test(`AI SDK, ${form}: structured output${stream ? ", streamed" : ""}`, async () => {
      const { model } = await make();
      const asked = { model, prompt: "Where?", output: Output.object({ schema: PLACE }) };
      const output = stream ? await streamText(asked).output : (await generateText(asked)).output;
      assert.ok(PLACE.safeParse(output).success);
    });
  }

  test(`AI SDK, ${form}: retry`, async () => {
    const { model, statuses } = await make();
    assert.equal((await generateText({ model, prompt: "limit" })).text, "The second try.");
    assert.deepEqual(await statuses(), [429, 200]);
  });

  for (const [prompt, status] of [["quota", 429], ["too long", 400]]) {
    test(`AI SDK, ${form}: ${prompt}`, async () => {
      const { model } = await make();
      await assert.rejects(generateText({ model, prompt, maxRetries: 0 }), (error) => error.statusCode === status);
    });
  }
}

setTracingDisabled(true);
for (const [form, kind] of Object.entries({ chat: OpenAIChatCompletionsModel, responses: OpenAIResponsesModel })) {
  const make = async (more = {}) => {
    const { options, statuses } = await world();
    return { agent: new Agent({ name: "a", model: new kind(new OpenAI(options), MODEL), ...more }), statuses };
  };
  const weather = agentTool({
    name: "get_weather", description: "The weather", parameters: CITY, execute: async ({ city }) => `21 in ${city}`,
  });

  test(`Agents SDK, ${form}: create`, async () => {
    const { agent } = await make();
    assert.equal((await run(agent, "Hello")).finalOutput, HI);
  });

  test(`Agents SDK, ${form}: stream`, async () => {
    const { agent } = await make();
    const result = await run(agent, "Hello", { stream: true });
    const texts = [];
    for await (const text of result.toTextStream()) texts.push(text);
    assert.deepEqual(texts, ["Hi", " there,", " my", " friend!"]);
  });

  for (const stream of [false, true]) {
    test(`Agents SDK, ${form}: a tool loop${stream ? ", streamed" : ""}`, async () => {
      const { agent, statuses } = await make({ tools: [weather] });
      const result = await run(agent, "What is the weather?", { stream });
      if (stream) await result.completed;
      assert.equal(result.finalOutput, "It is 21 degrees.");
      assert.deepEqual(await statuses(), [200, 200]);
    });
  }

  test(`Agents SDK, ${form}: structured output`, async () => {
    const { agent } = await make({ outputType: PLACE });
    assert.ok(PLACE.safeParse((await run(agent, "Where?")).finalOutput).success);
  });

  test(`Agents SDK, ${form}: retry`, async () => {
    const { agent, statuses } = await make();
    assert.equal((await run(agent, "limit")).finalOutput, "The second try.");
    assert.deepEqual(await statuses(), [429, 200]);
  });

  for (const [text, status] of [["quota", 429], ["too long", 400]]) {
    test(`Agents SDK, ${form}: ${text}`, async () => {
      const { agent } = await make();
      await assert.rejects(run(agent, text), (error) => error.status === status);
    });
  }
}
