// What the official Node SDK makes of faults: reads [{url, key, stream}] on stdin, writes an outcome for each.
import OpenAI from "openai";

const HELLO = { model: "auto", messages: [{ role: "user", content: "hi" }] };
const cases = JSON.parse(await new Promise((resolve) => {
  let text = "";
  process.stdin.on("data", (data) => (text += data)).on("end", () => resolve(text));
}));

async function outcome({ url, key, stream }) {
  const api = new OpenAI({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 20000 });
  let text = "";
  try {
    if (!stream) {
      const answer = await api.chat.completions.create(HELLO);
      return { text: answer?.choices?.[0]?.message?.content ?? null, error: null };
    }
    for await (const chunk of await api.chat.completions.create({ ...HELLO, stream: true })) {
      text += chunk.choices?.[0]?.delta?.content ?? "";
    }
    return { text, error: null };
  } catch (error) {
    return { text, error: error.constructor.name };
  }
}

console.log(JSON.stringify(await Promise.all(cases.map(outcome))));
