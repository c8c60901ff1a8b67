/** What a test holds: a session of its own, spoken to by the control API only. */

import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";

import { type Control, ControlError } from "./control.js";
import type { Duration, Exchange, Json, Reply, RuleOptions, Verdict, When } from "./types.js";

/** What a test allows when its session closes. */
export interface CloseOptions {
  /** Requests that no rule answered. */
  allowUnmatched?: boolean;
  /** Rules and replies that were never asked for: all, or those of the named rules (an id, or FILE:LINE). */
  allowUnused?: boolean | string | readonly string[];
  /** What a later version of the server knows, by its option's name. */
  [option: `allow${string}`]: boolean | string | readonly string[] | undefined;
}

export interface SessionOptions extends CloseOptions {
  provider?: string;
  /** A path of a file, YAML text (of more than one line), the name of a library file, or an object. */
  scenario?: string | { [name: string]: Json };
  clock?: "real" | "virtual";
  seed?: number;
  plan?: string | { [name: string]: Json };
  validation?: "documented" | "compatible" | "strict" | "off";
}

/** What was wrong when a session closed, or a count that did not hold. */
export class EmulatorFailure extends Error {
  override readonly name = "EmulatorFailure";
}

/** A rule begun by `on`; each `reply` is its next. Await it, so that the rule is there before the request. */
export class Route implements PromiseLike<void> {
  readonly #send: (replies: readonly Reply[]) => Promise<void>;
  #replies: readonly Reply[] = [];
  #sent: Promise<void> = Promise.resolve();

  constructor(send: (replies: readonly Reply[]) => Promise<void>) {
    this.#send = send;
  }

  /** Add a reply: a text, or what a scenario says: `.reply({error: "rate_limited", retry_after: 1})`. */
  reply(reply: string | Reply): this {
    const replies = (this.#replies = [...this.#replies, typeof reply === "string" ? { text: reply } : reply]);
    this.#sent = this.#sent.then(() => this.#send(replies));
    this.#sent.catch(() => {}); // whoever awaits sees it, and so does the session's close
    return this;
  }

  then<A = void, B = never>(
    done?: ((value: void) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#sent.then(done, failed);
  }
}

interface SessionBody {
  id: string;
  api_key: string;
  provider: string | null;
  base_url: string | null;
  base_urls: Record<string, string>;
  env: Record<string, string | null>;
}

interface ProblemBody {
  text: string;
  allowed_by: string;
  concerns: string[];
}

const RULE_OPTIONS = ["id", "after_last", "count_by", "then", "expect"];

/** Open a session. Throws a ControlError, with the places in the scenario, where it does not load. */
export async function openSession(control: Control, options: SessionOptions): Promise<Session> {
  const { scenario, ...rest } = options;
  const told = scenario === undefined ? {} : await readScenario(scenario);
  const allowed = Object.fromEntries(Object.entries(rest).filter(([name]) => name.startsWith("allow"))) as CloseOptions;
  const given = Object.fromEntries(Object.entries(rest).filter(([name]) => !name.startsWith("allow")));
  const body = await control.ask<SessionBody>("POST", "/sessions", { ...given, ...told });
  return new Session(control, body, allowed);
}

/** A world of its own on the server. Point the application at `baseURL` with `apiKey`; `close()` it when the test ends. */
export class Session {
  readonly id: string;
  readonly apiKey: string;
  readonly #control: Control;
  readonly #allowed: CloseOptions;
  #body: SessionBody;
  #rules = 0;
  #failures: unknown[] = [];

  /** Use `emulator.session()`. */
  constructor(control: Control, body: SessionBody, allowed: CloseOptions) {
    this.#control = control;
    this.#body = body;
    this.#allowed = allowed;
    this.id = body.id;
    this.apiKey = body.api_key;
  }

  get provider(): string | null {
    return this.#body.provider;
  }

  /** The base URL of each provider. */
  get baseURLs(): Readonly<Record<string, string>> {
    return this.#body.base_urls;
  }

  /** The base URL of the session's provider; where it serves several, of the default. */
  get baseURL(): string {
    if (this.#body.base_url === null) {
      const names = Object.keys(this.#body.base_urls).join(", ");
      throw new Error(`this session serves ${names}: use baseURLs[NAME], or name one: emulator.session({provider: NAME})`);
    }
    return this.#body.base_url;
  }

  /** The variables that lead a client to the session; null for those that must not be set. */
  get env(): Readonly<Record<string, string | null>> {
    return this.#body.env;
  }

  /** Answer by a scenario from now on; rules of `on` stay before it. */
  async use(scenario: string | { [name: string]: Json }): Promise<this> {
    this.#body = await this.#ask<SessionBody>("PUT", "/scenario", await readScenario(scenario));
    return this;
  }

  /** Begin a rule, before those there are: `await session.on({last_user: {contains: "hi"}}).reply("Hello.")`. */
  on(when: When & RuleOptions = {}): Route {
    const entries = Object.entries(when);
    const own = Object.fromEntries(entries.filter(([name]) => RULE_OPTIONS.includes(name)));
    const rule = { id: `on-${++this.#rules}`, ...own, when: Object.fromEntries(entries.filter(([name]) => !(name in own))) };
    const at = place(this.on);
    return new Route(async (replies) => {
      try {
        await this.#ask("POST", "/rules", { rule: { ...rule, replies }, at });
      } catch (error) {
        this.#failures.push(error);
        throw error;
      }
    });
  }

  /** All exchanges so far. */
  async journal(): Promise<Exchange[]> {
    return (await this.#ask<{ exchanges: Exchange[] }>("GET", "/journal")).exchanges;
  }

  /** Check how many requests fit; without a number, at least one must. Throws an EmulatorFailure, with the nearest. */
  async verify(check: When & { count?: number; at_least?: number; at_most?: number } = {}): Promise<void> {
    const { count, at_least, at_most, ...when } = check;
    const answer = await this.#ask<{ ok: boolean; message: string }>("POST", "/verify", { when, count, at_least, at_most });
    if (!answer.ok) throw new EmulatorFailure(answer.message);
  }

  /** What the docs ask of a caller, judged from the journal. */
  verdict(): Promise<Verdict> {
    return this.#ask("GET", "/verdict");
  }

  /** Tell what the application took as the result of its last call, so that a verdict can judge cut streams. */
  async completed(text: string): Promise<void> {
    const calls = (await this.journal()).filter((item) => item.rule !== "refused" && item.rule !== "unmatched");
    const last = calls.at(-1);
    if (last === undefined) throw new Error("no call was answered yet");
    await this.#ask("POST", "/completed", { exchange: last.n, text });
  }

  /** Move a virtual clock, waking what becomes due; return the new time in Unix seconds. */
  async advance(duration: Duration): Promise<number> {
    return (await this.#ask<{ now: number }>("PATCH", "/clock", { advance: duration })).now;
  }

  /** What should fail a test that ends now, but for what is allowed; each says how it is allowed. */
  async problems(allowed: CloseOptions = {}): Promise<string[]> {
    const given = { ...this.#allowed, ...allowed } as Record<string, unknown>;
    const { problems } = await this.#ask<{ problems: ProblemBody[] }>("GET", "/problems");
    return problems.flatMap(({ text, allowed_by, concerns }) => {
      if (!allowed_by) return [text];
      const [snake = ""] = allowed_by.split("=");
      const option = snake.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      const allows = given[option];
      const names = typeof allows === "string" ? [allows] : Array.isArray(allows) ? allows : [];
      if (allows === true || names.some((name) => concerns.includes(name as string))) return [];
      return [`${text}${text.includes("\n") ? "\n" : "; "}allow it with session.close({${option}: true})`];
    });
  }

  /** End the session. Throws an EmulatorFailure that names what should fail the test; each says how to allow it. */
  async close(allowed: CloseOptions = {}): Promise<void> {
    let problems: string[];
    try {
      problems = await this.problems(allowed);
    } finally {
      await this.#ask("DELETE", "");
    }
    const refused = this.#failures.map((error) => (error instanceof ControlError ? describe(error) : String(error)));
    if (problems.length + refused.length) throw new EmulatorFailure([...refused, ...problems].join("\n\n"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #ask<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    return this.#control.ask<T>(method, `/sessions/${this.id}${path}`, body);
  }
}

function describe(error: ControlError): string {
  const places = error.problems.map((item) => `  ${item.file}:${item.line}:${item.column}: ${item.where}: ${item.message}`);
  return [`a rule was refused: ${error.message}`, ...places].join("\n");
}

/** Return what the control API takes: an object, YAML text, a file's text, or the name of a file of the library. */
async function readScenario(scenario: string | { [name: string]: Json }): Promise<object> {
  if (typeof scenario !== "string" || scenario.includes("\n")) return { scenario };
  try {
    return { scenario: await readFile(scenario, "utf8"), file: scenario };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return { library: scenario };
  }
}

/** FILE:LINE of whoever called `below`, relative to the working directory. */
function place(below: (...args: never[]) => unknown): string {
  const here = { stack: "" };
  Error.captureStackTrace(here, below);
  const found = /((?:file:\/\/)?[^\s(]+):(\d+):\d+\)?$/m.exec(here.stack);
  if (!found) return "a test";
  const file = found[1]!.startsWith("file://") ? fileURLToPath(found[1]!) : found[1]!;
  return `${relative(process.cwd(), file)}:${found[2]}`;
}
