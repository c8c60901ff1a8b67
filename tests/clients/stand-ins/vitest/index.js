// Stands in for vitest where the docs' examples run: node:test by vitest's names. examples/vercel-ai-sdk has the real one.
import assert from "node:assert/strict";
import { after as afterAll, afterEach, before as beforeAll, beforeEach, mock, test } from "node:test";

export { afterAll, afterEach, beforeAll, beforeEach, test };

export const expect = (actual) => ({ toBe: (expected) => assert.equal(actual, expected) });

export const vi = {
  useFakeTimers: () => mock.timers.enable({ apis: ["setTimeout", "setInterval", "setImmediate", "Date"], now: Date.now() }),
  useRealTimers: () => mock.timers.reset(),
  advanceTimersByTime: (ms) => mock.timers.tick(ms),
};
