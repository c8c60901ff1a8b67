// Answers a question with the AI SDK; the tool is asked as often as the model wants.
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, tool } from "ai";
import { z } from "zod";

const weather = tool({
  description: "Tell the weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `${city}: 21 degrees`,
});

export async function answer(question) {
  const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY });
  const { text } = await generateText({
    model: openai("gpt-4o"),
    prompt: question,
    tools: { get_weather: weather },
    stopWhen: stepCountIs(5),
  });
  return text;
}
