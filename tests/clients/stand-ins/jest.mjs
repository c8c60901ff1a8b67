// Stands in for jest where the docs' examples run: its globals, made of what stands in for vitest.
import * as vitest from "vitest";

Object.assign(globalThis, vitest, { jest: vitest.vi });
