// The package as its users have it, with the official SDKs. It starts a server of its own.
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

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
  await assert.rejects(session.verify({ cont: 2 }), /cont: is not known here; did you mean 'count'\?/);
  const [exchange] = await session.journal();
  assert.match(exchange.rule, /^(test\/)?emulator\.test\.mjs:\d+$/);
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

test("a rule that does not load fails its await, and the close, which says it once", async () => {
  const session = await emulator.session({ allowUnused: true });
  await assert.rejects(async () => await session.on().reply({ txt: "a" }), ControlError);
  await assert.rejects(session.close(), ({ message }) => {
    assert.match(message, /^a rule was refused: .*emulator\.test\.mjs:\d+.*txt/s);
    assert.equal(message.split("replies[0].txt").length, 2);
    return true;
  });
});

test("a rule without a reply fails the close", async () => {
  const session = await emulator.session();
  await session.on({ model: "gpt-4o" });
  await assert.rejects(session.close(), /^EmulatorFailure: the rule of \.on\(\) at .*emulator\.test\.mjs:\d+ has no \.reply\(\); allow it/);
  const allowed = await emulator.session();
  await allowed.on({ id: "left" });
  await allowed.close({ allowUnused: "left" });
});

test("a scenario that is nowhere: no such file, and the two nearest names", async () => {
  const { message } = await emulator.session({ scenario: "nope.yaml" }).catch((error) => error);
  assert.match(message, /^there is no file \/.*nope\.yaml\. The library has no 'nope\.yaml'; did you mean '\S+' or '\S+'\?$/);
  const session = await emulator.session();
  await assert.rejects(session.use("nope.yaml"), /^ControlError: there is no file/);
  await session.close();
});

test("a session that was closed is closed, and an emulator that was stopped is stopped", async () => {
  const second = await Emulator.start({ url: emulator.url });
  const session = await second.session();
  await session.close();
  await session.close();
  await assert.rejects(session.journal(), /^Error: this session was closed$/);
  await second.stop();
  await assert.rejects(second.session(), /^Error: this emulator was stopped/);
});

test("a client that nobody pointed at the session is told so", async () => {
  const session = await emulator.session();
  await session.on().reply("Never.");
  const { message } = await session.close().catch((error) => error);
  assert.ok(message.includes(`not one request came to this session`), message);
  assert.ok(message.includes(`; point the client at its base URL, ${session.baseURL}`), message);
});

test("what the client did is judged: by a call, and by the close", async () => {
  const session = await emulator.session({ provider: "openai", clock: "virtual" });
  await session.on().reply({ error: "rate_limited", retry_after: 60 }).reply("At last.");
  const ask = () => client(session, { maxRetries: 0 }).chat.completions.create(HELLO).catch(() => {});
  await ask();
  await ask();
  const told = await session.assertWellBehaved().catch((error) => error);
  assert.ok(told instanceof EmulatorFailure);
  assert.match(told.message, /^the client did not behave as the docs ask:\n  \S+: .* \(exchanges 1, 2; openai: .*\)/);
  const names = JSON.parse(/ignore: (\[.*\])\}/.exec(told.message)[1]);
  await session.assertWellBehaved({ ignore: names });
  await assert.rejects(session.assertWellBehaved({ ignore: ["no-such"] }), /there is no finding no-such; known: /);
  await session.close();

  const judged = await emulator.session({ provider: "openai", wellBehaved: true });
  await client(judged).chat.completions.create({ ...HELLO, temperature: 3 }).catch(() => {});
  await assert.rejects(judged.close(), /the client did not behave as the docs ask:\n.*\n    exchange 1: .*temperature/);
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

test("a minute passes in no time", async () => {
  const session = await emulator.session({ provider: "openai", fastTime: true, wellBehaved: true });
  assert.equal((await session.verdict()).ok, true);
  await session.on().reply({ error: "rate_limited", retry_after: 60, times: 2 }).reply("At last.");
  const [setTimeout, began] = [globalThis.setTimeout, Date.now()];
  const ask = (content) =>
    client(session, { maxRetries: 3 }).chat.completions.create({ ...HELLO, messages: [{ role: "user", content }] });
  const answers = await Promise.all([ask("One."), ask("Two.")]);
  assert.deepEqual(answers.map((answer) => answer.choices[0].message.content), ["At last.", "At last."]);
  const [first, , third, fourth] = await session.journal();
  assert.ok(third.at >= first.at + 60 && fourth.at < first.at + 90, `${first.at} ${third.at} ${fourth.at}`);
  assert.ok(Date.now() >= began + 60_000);
  assert.ok(new Date() >= new Date(began + 60_000) && new Date(0).getTime() === 0 && Date().length > 20);
  await session.close();
  assert.notEqual(globalThis.setTimeout, setTimeout);
  assert.ok(Date.now() < began + 60_000);
});

test("a connection that broke is tried again, by node:http too", async () => {
  const session = await emulator.session({ provider: "openai", fastTime: true });
  await session.on().reply({ text: "Never.", faults: [{ cut: { after_bytes: 3, how: "reset" } }] }).reply("At last.");
  const body = JSON.stringify(HELLO);
  const headers = { authorization: `Bearer ${session.apiKey}`, "content-type": "application/json" };
  const ask = () =>
    new Promise((resolve, reject) => {
      const asked = request(`${session.baseURL}/chat/completions`, { method: "POST", headers }, (answer) => {
        answer.on("error", reject).on("end", () => resolve(answer.statusCode)).resume();
      });
      asked.on("error", reject).end(body);
    });
  await assert.rejects(ask());
  await new Promise((resolve) => setTimeout(resolve, 600_000));
  assert.equal(await ask(), 200);
  const [first, second] = await session.journal();
  assert.ok(second.at >= first.at + 600);
  await session.close();
});

test("fast time leaves alone what is no wait after a failure", async () => {
  const session = await emulator.session({ provider: "openai", fastTime: true, allowUnmatched: true });
  let late = setTimeout(() => (late = "fired"), 600_000);
  await session.on({ stream: true }).reply({ text: "one two", faults: [{ stall: { after_chunks: 1, for: "forever" } }] });
  const fails = () => client(session, { maxRetries: 0 }).chat.completions.create({ ...HELLO, model: "gpt-4" }).catch(() => {});
  await fails();
  const stream = await client(session).chat.completions.create({ ...HELLO, stream: true });
  await fails();
  let early = false; // a request is under way
  const guard = setTimeout(() => (early = true), 600_000);
  await sleep(100);
  assert.equal(early, false);
  stream.controller.abort();
  clearTimeout(guard);
  await fails();
  const cleared = setTimeout(() => assert.fail("it was cleared"), 1000);
  cleared.close();
  const unrefed = setTimeout(() => assert.fail("it was unrefed"), 1000).unref();
  await new Promise((resolve) => setTimeout(resolve, 1_200_000));
  assert.notEqual(late, "fired");
  [late, unrefed].map(clearTimeout);
  await session.close();
});

for (const order of ["before the session", "after it"]) {
  test(`fast time beside fake timers that come ${order}`, async ({ mock }) => {
    const [realTimeout, realNow] = [setTimeout, Date.now()];
    const fake = () => mock.timers.enable({ apis: ["setTimeout", "Date"], now: realNow });
    if (order === "before the session") fake();
    const session = await emulator.session({ provider: "openai", fastTime: true });
    if (order === "after it") fake();
    let rung = 0;
    setTimeout(() => rung++, 1000);
    await session.on().reply({ error: "rate_limited", retry_after: 60 }).reply("At last.");
    await client(session).chat.completions.create(HELLO);
    const [first, second] = await session.journal();
    assert.ok(second.at >= first.at + 60 && Date.now() >= realNow + 60_000);
    for (let look = 0; look < 20; look++) await session.verdict();
    assert.ok((await session.advance(0)) < first.at + 90); // the time-out of a request that was answered is cleared
    assert.equal(rung, 0);
    mock.timers.tick(1000);
    assert.equal(rung, 1);
    await session.close();
    mock.timers.reset();
    assert.ok(Date.now() < realNow + 60_000);
    await new Promise((resolve) => setTimeout(resolve, 1));
    if (order === "before the session") assert.equal(setTimeout, realTimeout);
  });
}

test("a close that fails names fake timers that came after fast time", async ({ mock }) => {
  const session = await emulator.session({ provider: "openai", fastTime: true });
  await session.on().reply("Never asked for.");
  mock.timers.enable({ apis: ["setTimeout"] });
  await assert.rejects(session.close(), /was never used[^]*call useFakeTimers\(\) before emulator\.session\(\)/);
});

test("fast time is one session's at a time, and its clock is virtual", async () => {
  const session = await emulator.session({ fastTime: true });
  await assert.rejects(emulator.session({ fastTime: true }), /fastTime of another session is active/);
  await assert.rejects(emulator.session({ fastTime: true, clock: "real" }), /fastTime needs a virtual clock/);
  await session.close();
  await (await emulator.session({ fastTime: true })).close();
});

test("the variables lead a client to the session", async () => {
  const session = await emulator.session({ provider: "openai" });
  assert.equal(session.env.OPENAI_BASE_URL, session.baseURL);
  assert.equal(session.env.OPENAI_API_KEY, session.apiKey);
  assert.equal(session.baseURLs.openai, session.baseURL);
  await session.close();
});

test("a session has the id and the key that it is given, so that its address is known before", async () => {
  const session = await emulator.session({ id: "known", apiKey: "key-known", provider: "openai" });
  assert.equal(session.baseURL, `${emulator.url}/s/known/openai/v1`);
  assert.equal(session.apiKey, "key-known");
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
