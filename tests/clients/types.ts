// What the package's types take and refuse. It is checked by tsc only, without the types of Node; nothing runs.
import { Emulator, type Exchange, type Fault, type Matcher, type Reply, type Session, type When } from "llm-emulator-node";

interface Weather {
  city: string;
  days: readonly number[];
}

export async function takes(weather: Weather, words: readonly string[]): Promise<void> {
  await using emulator = await Emulator.start({ args: ["--seed", "1"] as const });
  const session: Session = await emulator.session({
    provider: "a-folder-of-ours",
    scenario: weather, // any object: the server checks it
    plan: { requests_per_minute: 2 },
    allowUnused: words,
    fastTime: true,
    wellBehaved: true,
  });
  const faults = [{ cut: { after_chunks: 2, how: "reset" } }, { drop_done: true }] as const satisfies readonly Fault[];
  await session
    .on({ last_user: { contains: "a" }, model: { any: ["a", { regex: "b" }] }, count_by: "header:x-run" })
    .reply({ tool_calls: [{ name: "weather", arguments: weather }], faults })
    .reply({ text: weather, stream: { split: words, itl: ["10ms", { uniform: { min: 1, max: 2 } }] } })
    .reply({ json: weather, latency: { normal: { mean: "1s", sd: 1 } } })
    .reply({ events: [weather, "text"] })
    .reply({ error: "an_error_of_ours", retry_after: 60 })
    .reply({ error: { status: 500, body: weather } });
  await session.assertWellBehaved({ strict: true, ignore: words });

  const [row] = await session.journal<Weather>();
  const city: string | undefined = row?.body.city;
  const text: string | null | undefined = row?.body_text;
  const refused: string | undefined = row?.refusal?.details[0]?.message;
  const nearest: string | undefined = row?.nearest[0]?.differences[0]?.field;
  const numbers: (number | null | undefined)[] = [row?.call, row?.reply, row?.sent.at, row?.timeline.frames[0]?.at];
  const names: (string | undefined)[] = [row?.key, row?.model, row?.headers["content-type"]];
  const untyped: string = (await session.journal())[0]?.body.messages[0].content;
  void [city, text, refused, nearest, numbers, names, untyped];
}

export async function refuses(emulator: Emulator, session: Session, row: Exchange): Promise<void> {
  // @ts-expect-error an operator that there is not
  const matcher: Matcher = { contians: "report" };
  // @ts-expect-error a condition that there is not
  const when: When = { last_usr: "a" };
  // @ts-expect-error a fault that there is not
  const fault: Fault = { cutt: { after_chunks: 1 } };
  // @ts-expect-error a way to break off that there is not
  const how: Fault = { cut: { after_chunks: 1, how: "gone" } };
  // @ts-expect-error a key of a stream that there is not
  const stream: Reply = { stream: { spilt: "words" } };
  // @ts-expect-error a key of a reply that there is not
  const reply: Reply = { txt: "a" };
  // @ts-expect-error arguments are an object, or text
  const call: Reply = { tool_calls: [{ name: "weather", arguments: 5 }] };
  // @ts-expect-error a misspelt option
  await emulator.session({ allowUnusedd: true });
  // @ts-expect-error a misspelt option
  await session.close({ allowUnusedd: true });
  // @ts-expect-error a misspelt bound
  await session.verify({ cont: 2 });
  // @ts-expect-error it may be null
  const text: string = row.body_text;
  // @ts-expect-error a field that there is not
  void row.bodi;
  void [matcher, when, fault, how, stream, reply, call, text];
}
