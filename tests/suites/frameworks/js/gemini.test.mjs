// Google's SDK for JavaScript and the AI SDK on Gemini's API. EMULATOR_URL is the root of a running emulator.
import assert from "node:assert/strict";
import { test } from "node:test";

import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { FunctionCallingConfigMode, GoogleGenAI, Type } from "@google/genai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const ROOT = process.env.EMULATOR_URL;
const MODELS = ["gemini-2.5-flash", "gemini-3.8-flash"];
const HI = "Hi there, my friend!";
const WARM = "It is 21 degrees.";
const ASKED = "What is the weather?";
const SCENARIO = `
emulator: 1
provider: gemini
rules:
  - {when: {tool_result: {name: get_weather, content: {contains: "21"}}}, reply: {text: It is 21 degrees.}}
  - {when: {last_user: {contains: weather}}, reply: {tool_calls: [{name: get_weather, arguments: {city: Oslo}}]}}
  - {when: {last_user: {contains: Hello}}, reply: {text: "Hi there, my friend!", stream: {split: words}}}
unmatched: built-in
`;
const PLACE = z.object({ city: z.string(), people: z.number().int() });
const FUNCTION = {
  name: "get_weather",
  description: "The weather",
  parameters: { type: Type.OBJECT, properties: { city: { type: Type.STRING } }, required: ["city"] },
};

async function world() {
  const body = JSON.stringify({ scenario: SCENARIO });
  const response = await fetch(`${ROOT}/_emulator/sessions`, { method: "POST", headers: { "content-type": "application/json" }, body });
  assert.ok(response.ok, `${response.status}`);
  const session = await response.json();
  return { apiKey: session.api_key, root: `${ROOT}/s/${session.id}/gemini` };
}

for (const model of MODELS) {
  test(`Google's SDK, ${model}`, async () => {
    const { apiKey, root } = await world();
    for (const apiVersion of [undefined, "v1beta", "v1"]) {
      const ai = new GoogleGenAI({ apiKey, apiVersion, httpOptions: { baseUrl: root } });
      assert.equal((await ai.models.generateContent({ model, contents: "Hello" })).text, HI);
    }
    const ai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: root } });
    let text = "";
    for await (const chunk of await ai.models.generateContentStream({ model, contents: "Hello" })) text += chunk.text ?? "";
    assert.equal(text, HI);
    const config = { tools: [{ functionDeclarations: [FUNCTION] }], toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } } };
    const first = await ai.models.generateContent({ model, contents: ASKED, config });
    const [call] = first.functionCalls;
    assert.deepEqual([call.name, call.args], ["get_weather", { city: "Oslo" }]);
    const answer = { role: "user", parts: [{ functionResponse: { name: call.name, id: call.id, response: { temp: 21 } } }] };
    const contents = [{ role: "user", parts: [{ text: ASKED }] }, first.candidates[0].content, answer];
    assert.equal((await ai.models.generateContent({ model, contents, config })).text, WARM);
    assert.ok((await ai.models.countTokens({ model, contents: "a b c" })).totalTokens > 0);
    await assert.rejects(ai.models.generateContent({ model: "nope", contents: "x" }), { status: 404 });
    const chat = ai.chats.create({ model });
    for (const message of ["Hello", "Hello again"]) assert.equal((await chat.sendMessage({ message })).text, HI);
  });

  test(`AI SDK, ${model}`, async () => {
    const { apiKey, root } = await world();
    const chosen = createGoogleGenerativeAI({ apiKey, baseURL: `${root}/v1beta` })(model);
    assert.equal((await generateText({ model: chosen, prompt: "Hello" })).text, HI);
    let text = "";
    for await (const delta of streamText({ model: chosen, prompt: "Hello" }).textStream) text += delta;
    assert.equal(text, HI);
    const weather = tool({ description: "The weather", inputSchema: z.object({ city: z.string() }), execute: async () => ({ temp: 21 }) });
    const looped = await generateText({ model: chosen, prompt: ASKED, stopWhen: stepCountIs(4), tools: { get_weather: weather } });
    assert.deepEqual([looped.steps.length, looped.text], [2, WARM]);
    const made = await generateText({ model: chosen, prompt: "A place", output: Output.object({ schema: PLACE }) });
    assert.ok(PLACE.parse(made.output));
  });
}

test("embeddings", async () => {
  const { apiKey, root } = await world();
  const ai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl: root } });
  const { embeddings } = await ai.models.embedContent({ model: "gemini-embedding-001", contents: ["a", "b"] });
  assert.deepEqual(embeddings.map((item) => item.values.length), [3072, 3072]);
});
