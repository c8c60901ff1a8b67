type Body = () => unknown;
export interface ProvidedContext {}
export declare const afterAll: (body: Body) => void;
export declare const afterEach: (body: Body) => void;
export declare const beforeAll: (body: Body) => void;
export declare const beforeEach: (body: Body) => void;
export declare const test: (name: string, body: Body) => void;
export declare const expect: (actual: unknown) => { toBe(expected: unknown): void };
export declare const inject: <Name extends keyof ProvidedContext>(name: Name) => ProvidedContext[Name];
export declare const vi: {
  stubEnv(name: string, value: string | undefined): void;
  useFakeTimers(): void;
  useRealTimers(): void;
  advanceTimersByTime(ms: number): void;
};
