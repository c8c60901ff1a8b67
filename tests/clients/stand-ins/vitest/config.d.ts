export declare const defineConfig: (config: { test: { globalSetup?: string; unstubEnvs?: boolean } }) => unknown;
