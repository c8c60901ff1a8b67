interface WebServer {
  command: string;
  url: string;
  env?: { [name: string]: string };
}
interface Locator {
  fill(text: string): Promise<void>;
}
interface Page {
  goto(url: string): Promise<void>;
  getByRole(role: string): Locator;
  getByText(text: string): Locator;
  keyboard: { press(key: string): Promise<void> };
}
export declare const defineConfig: (config: { workers?: number; use?: { baseURL: string }; webServer: WebServer[] }) => unknown;
export declare const expect: (found: Locator) => { toBeVisible(): Promise<void> };
export declare const test: {
  (name: string, body: (fixtures: { page: Page }) => Promise<void>): void;
  beforeEach(body: () => Promise<void>): void;
  afterEach(body: () => Promise<void>): void;
};
