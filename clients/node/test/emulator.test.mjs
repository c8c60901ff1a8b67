// The package as its users have it, with the official SDKs. It starts a server of its own.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ControlError, Emulator, EmulatorFailure } from "llm-emulator-node";
import OpenAI from "openai";

let emulator;
before(async () => {
  emulator = await Emulator.start();
});
after(() => emulator.stop());

const HELLO = { model: "gpt-4o", messages: [{ role: "user", content: "The report, please." }] };

function client(session, options = {}) {
  return new OpenAI({ baseURL: session.baseURL, apiKey: session.apiKey, maxRetries: 1, ...options });
}

test("a rule answers, and is counted", async () => {
  const session = await emulator.session();
  await session.on({ last_user: { contains: "report" } }).reply("Here it is.");
  const answer = await client(session).chat.completions.create(HELLO);
  assert.equal(answer.choices[0].message.content, "Here it is.");
  await session.verify({ count: 1, model: "gpt-4o" });
  await assert.rejects(session.verify({ count: 2 }), EmulatorFailure);
  const [exchange] = await session.journal();
  assert.match(exchange.rule, /^(test\/)?emulator\.test\.mjs:\d+$/);
  await session.close();
});

test("replies come in turn: a 429, then an answer", async () => {
  const session = await emulator.session();
  await session.on().reply({ error: "rate_limited", retry_after: 0.01 }).reply("At last.");
  const answer = await client(session).responses.create({ model: "gpt-5-mini", input: "Hello" });
  assert.equal(answer.output_text, "At last.");
  await session.verify({ count: 2 });
  assert.equal((await session.verdict()).ok, true);
  await session.close();
});

test("a stream is cut before its end", async () => {
  const session = await emulator.session();
  await session.on().reply({ text: "one two three four", faults: [{ cut: { after_chunks: 2, how: "reset" } }] });
  const stream = await client(session, { maxRetries: 0 }).chat.completions.create({ ...HELLO, stream: true });
  await assert.rejects(async () => {
    for await (const _ of stream);
  });
  assert.equal((await session.journal())[0].sent.end, "reset");
  await session.close();
});

test("a request that no rule answers fails the test at its close", async () => {
  const session = await emulator.session();
  await session.on({ model: "gpt-4o-mini" }).reply("Never.");
  await assert.rejects(client(session).chat.completions.create(HELLO), { status: 404 });
  await assert.rejects(session.close(), (error) => {
    assert.ok(error instanceof EmulatorFailure);
    assert.match(error.message, /no rule answered exchange 1 .*\n.*\n\s+model: expected "gpt-4o-mini", got "gpt-4o"/);
    assert.match(error.message, /never used/);
    return true;
  });
});

test("what was not asked for can be allowed", async () => {
  const session = await emulator.session({ allowUnused: true });
  await session.on({ model: "gpt-4o-mini" }).reply("Never.");
  await client(session).chat.completions.create(HELLO).catch(() => {});
  await session.close({ allowUnmatched: true });
});

test("a scenario: of the library, as text, as an object", async () => {
  const session = await emulator.session({ scenario: "openai/rate-limited-then-success.yaml", clock: "virtual", allowUnused: true });
  await session.use("emulator: 1\nrules: [{reply: {text: from text}}]\n");
  const api = client(session);
  assert.equal((await api.chat.completions.create(HELLO)).choices[0].message.content, "from text");
  await session.use({ emulator: 1, rules: [{ reply: { text: "from an object" } }] });
  assert.equal((await api.chat.completions.create(HELLO)).choices[0].message.content, "from an object");
  await session.close();
});

test("a scenario that does not load says where, and what would be right", async () => {
  await assert.rejects(emulator.session({ scenario: "emulator: 1\nrules: [{reply: {txt: a}}]\n" }), (error) => {
    assert.ok(error instanceof ControlError);
    assert.deepEqual([error.status, error.problems[0].line], [422, 2]);
    return true;
  });
  await assert.rejects(emulator.session({ scenario: "openai/rate-limited-then-succes.yaml" }), /did you mean/);
});

test("a rule that does not load fails its await, and the close where nobody awaited", async () => {
  const session = await emulator.session({ allowUnused: true });
  await assert.rejects(async () => await session.on().reply({ txt: "a" }), ControlError);
  await assert.rejects(session.close(), /a rule was refused: .*txt/s);
});

test("time moves by hand", async () => {
  const session = await emulator.session({ clock: "virtual", plan: { requests_per_minute: 1 } });
  const api = client(session, { maxRetries: 0 });
  await api.chat.completions.create(HELLO);
  await assert.rejects(api.chat.completions.create(HELLO), { status: 429 });
  const before = await session.advance(0);
  assert.equal(await session.advance("61s"), before + 61);
  await api.chat.completions.create(HELLO);
  await session.close();
});

test("the variables lead a client to the session", async () => {
  const session = await emulator.session({ provider: "openai" });
  assert.equal(session.env.OPENAI_BASE_URL, session.baseURL);
  assert.equal(session.env.OPENAI_API_KEY, session.apiKey);
  assert.equal(session.baseURLs.openai, session.baseURL);
  await session.close();
});

test("sessions are apart", async () => {
  const [one, two] = await Promise.all([emulator.session(), emulator.session()]);
  await Promise.all([one.on().reply("one"), two.on().reply("two")]);
  const texts = await Promise.all(
    [one, two].map(async (session) => (await client(session).chat.completions.create(HELLO)).choices[0].message.content),
  );
  assert.deepEqual(texts, ["one", "two"]);
  await Promise.all([one.close(), two.close()]);
});

test("a server that runs is used, and left running", async () => {
  const second = await Emulator.start({ url: emulator.url });
  const session = await second.session();
  await client(session).chat.completions.create(HELLO);
  await session.close();
  await second.stop();
  await (await emulator.session({ allowUnused: true })).close();
});

test("a server that does not end is killed", async (t) => {
  const program = `console.log("Emulator ready at ${emulator.url}", process.pid); setInterval(() => {}, 1000)`;
  const second = await Emulator.start({ command: [process.execPath, "-e", program] });
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const stopped = second.stop();
  t.mock.timers.tick(5000);
  await stopped;
});

test("what cannot be started says how to install it, and what answers otherwise is no emulator", async () => {
  await assert.rejects(Emulator.start({ command: "no-such-emulator" }), /no such command\. Install it/);
  await assert.rejects(Emulator.start({ url: "http://127.0.0.1:1" }), /no emulator answers at/);
  await assert.rejects(Emulator.start({ args: ["--sead", "1"] }), /ended with 2:\n.*No such option/s);
});
