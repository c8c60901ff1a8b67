import { Emulator } from "llm-emulator-node";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    emulator: string;
  }
}

export default async function setup(project: TestProject) {
  const emulator = await Emulator.start();
  project.provide("emulator", emulator.url);
  return () => emulator.stop();
}
