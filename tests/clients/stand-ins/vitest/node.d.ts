import type { ProvidedContext } from "vitest";

export interface TestProject {
  provide<Name extends keyof ProvidedContext>(name: Name, value: ProvidedContext[Name]): void;
}
