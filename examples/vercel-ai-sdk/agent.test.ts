import { Emulator, type Session } from "llm-emulator-node";
import { afterEach, beforeEach, expect, inject, test, vi } from "vitest";

import { answer } from "./agent.js";

let session: Session;
beforeEach(async () => {
  const emulator = await Emulator.start({ url: inject("emulator") });
  session = await emulator.session({ provider: "openai", fastTime: true, wellBehaved: true });
  for (const [name, value] of Object.entries(session.env)) vi.stubEnv(name, value ?? undefined);
});
afterEach(() => session?.close());

test("the answer rests on the tool", async () => {
  await session
    .on({ tool_result: { absent: true } })
    .reply({ tool_calls: [{ name: "get_weather", arguments: { city: "Oslo" } }] });
  await session.on({ tool_result: { name: "get_weather" } }).reply("It is 21 degrees in Oslo.");
  expect(await answer("How warm is it in Oslo?")).toBe("It is 21 degrees in Oslo.");
  await session.verify({ count: 1, tool_result: { content: { contains: "21 degrees" } } });
});

test("a 429 is waited for", async () => {
  await session.on().reply({ error: "rate_limited", retry_after: 30 }).reply("At last.");
  expect(await answer("Hello")).toBe("At last.");
  await session.verify({ count: 2 }); // and no half minute passed; a whole one the AI SDK does not wait for
});
