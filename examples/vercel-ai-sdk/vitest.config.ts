import { defineConfig } from "vitest/config";

export default defineConfig({ test: { globalSetup: "./emulator.setup.ts", unstubEnvs: true } });
