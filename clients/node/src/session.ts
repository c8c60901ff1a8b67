/// <reference lib="esnext.disposable" preserve="true" />
/** What a test holds: a session of its own, spoken to by the control API only. */

import { readFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { type Control, ControlError } from "./control.js";
import { FastTime } from "./time.js";
import type { Duration, Exchange, Plan, Provider, Reply, RuleOptions, Verdict, When } from "./types.js";

/** What a test allows when its session closes. */
export interface CloseOptions {
  /** Requests that no rule answered. */
  allowUnmatched?: boolean;
  /** Rules and replies that were never asked for: all, or those of the named rules (an id, or FILE:LINE). */
  allowUnused?: boolean | string | readonly string[];
}

export interface SessionOptions extends CloseOptions {
  provider?: Provider;
  /** A path of a file, YAML text (of more than one line), the name of a library file, or an object. */
  scenario?: string | object;
  clock?: "real" | "virtual";
  seed?: number;
  /** Its id and key, where an application must know them before; else they are drawn. */
  id?: string;
  apiKey?: string;
  plan?: Plan;
  validation?: "documented" | "compatible" | "strict" | "off";
  /** Waits after a request that failed take no time: they move the session's clock, which is virtual. */
  fastTime?: boolean;
  /** The close checks `assertWellBehaved` too. */
  wellBehaved?: boolean;
}

/** Which findings of the verdict are let pass, or fail too. */
export interface Judgement {
  /** Advice fails too. */
  strict?: boolean;
  /** The names of findings that don't count. */
  ignore?: readonly string[];
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

  constructor(
    readonly id: string,
    readonly at: string,
    send: (replies: readonly Reply[]) => Promise<void>,
  ) {
    this.#send = send;
  }

  /** Whether a reply was given. */
  get isComplete(): boolean {
    return this.#replies.length > 0;
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
  const { scenario, apiKey, fastTime, allowUnmatched, allowUnused, wellBehaved, ...given } = options;
  if (fastTime && given.clock === "real") throw new Error("fastTime needs a virtual clock: leave `clock` out");
  const clock = fastTime ? { clock: "virtual" } : {};
  const asked = { ...given, ...clock, api_key: apiKey };
  const body = await withScenario(scenario, (told) => control.ask<SessionBody>("POST", "/sessions", { ...asked, ...told }));
  const session = new Session(control, body, { allowUnmatched, allowUnused, wellBehaved });
  if (fastTime) await session.beginFastTime();
  return session;
}

interface Expected {
  allowUnmatched: CloseOptions["allowUnmatched"];
  allowUnused: CloseOptions["allowUnused"];
  wellBehaved: boolean | undefined;
}

const FAKED_LATER =
  "setTimeout is not that of fastTime any more: where the test has fake timers, call useFakeTimers() before emulator.session()";

/** A world of its own on the server. Point the application at `baseURL` with `apiKey`; `close()` it when the test ends. */
export class Session {
  readonly id: string;
  readonly apiKey: string;
  readonly #control: Control;
  readonly #expected: Expected;
  #body: SessionBody;
  #routes: Route[] = [];
  #failures: unknown[] = [];
  #time: FastTime | undefined;
  #closed = false;

  /** Use `emulator.session()`. */
  constructor(control: Control, body: SessionBody, expected: Expected) {
    this.#control = control;
    this.#body = body;
    this.#expected = expected;
    this.id = body.id;
    this.apiKey = body.api_key;
  }

  /** Use `emulator.session({fastTime: true})`. */
  async beginFastTime(): Promise<void> {
    try {
      this.#time = await FastTime.begin(this.#control, this.id);
    } catch (error) {
      await this.#end();
      throw error;
    }
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
  async use(scenario: string | object): Promise<this> {
    this.#body = await withScenario(scenario, (told) => this.#ask<SessionBody>("PUT", "/scenario", told));
    return this;
  }

  /** Begin a rule, before those there are: `await session.on({last_user: {contains: "hi"}}).reply("Hello.")`. */
  on(when: When & RuleOptions = {}): Route {
    const entries = Object.entries(when);
    const own = Object.fromEntries(entries.filter(([name]) => RULE_OPTIONS.includes(name)));
    const rule = {
      id: `on-${this.#routes.length + 1}`,
      ...own,
      when: Object.fromEntries(entries.filter(([name]) => !(name in own))),
    };
    const at = place(this.on);
    const route = new Route(rule.id, at, async (replies) => {
      try {
        await this.#ask("POST", "/rules", { rule: { ...rule, replies }, at });
      } catch (error) {
        this.#failures.push(error);
        throw error;
      }
    });
    this.#routes.push(route);
    return route;
  }

  /** All exchanges so far; `Body` is what the bodies of their requests are. */
  async journal<Body = any>(): Promise<Exchange<Body>[]> {
    return (await this.#ask<{ exchanges: Exchange<Body>[] }>("GET", "/journal")).exchanges;
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

  /**
   * Fail on what the docs ask of a caller and the application did not do. Throws an EmulatorFailure, with each finding
   * and its exchanges.
   */
  async assertWellBehaved(judgement: Judgement = {}): Promise<void> {
    const found = await this.#misbehaviour(judgement);
    if (found) throw new EmulatorFailure(found);
  }

  async #misbehaviour({ strict = false, ignore = [] }: Judgement): Promise<string> {
    const { findings } = await this.verdict();
    const names = new Set(findings.map(({ fact }) => fact));
    const unknown = ignore.filter((name) => !names.has(name));
    if (unknown.length) throw new Error(`there is no finding ${unknown.join(", ")}; known: ${[...names].sort().join(", ")}`);
    const failed = findings.filter(({ status, advice }) => status === "fail" && (strict || !advice));
    const bad = failed.filter(({ fact }) => !ignore.includes(fact));
    if (!bad.length) return "";
    const journal = await this.journal();
    const lines = bad.flatMap(({ fact, message, exchanges, provider, source }) => [
      `  ${fact}: ${message} (exchanges ${exchanges.join(", ")}; ${provider}: ${source})`,
      ...journal.filter(({ n }) => exchanges.includes(n)).flatMap(refused),
    ]);
    const allowed = JSON.stringify([...ignore, ...bad.map(({ fact }) => fact)]);
    const hint = `allow it with session.assertWellBehaved({ignore: ${allowed}})`;
    return ["the client did not behave as the docs ask:", ...lines, hint].join("\n");
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
    const given = { ...this.#expected, ...allowed } as Record<string, unknown>;
    const { problems } = await this.#ask<{ problems: ProblemBody[] }>("GET", "/problems");
    const incomplete = this.#routes.filter((route) => !route.isComplete);
    const found = [...problems, ...incomplete.map(({ id, at }) => withoutReply(id, at))];
    return found.flatMap(({ text, allowed_by, concerns }) => {
      if (!allowed_by) return [text];
      const [snake = ""] = allowed_by.split("=");
      const option = snake.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      const allows = given[option];
      const names = typeof allows === "string" ? [allows] : Array.isArray(allows) ? allows : [];
      if (allows === true || names.some((name) => concerns.includes(name as string))) return [];
      return [`${text}${text.includes("\n") ? "\n" : "; "}allow it with session.close({${option}: true})`];
    });
  }

  /**
   * End the session; the second time nothing happens. Throws an EmulatorFailure that names what should fail the test;
   * each says how to allow it.
   */
  async close(allowed: CloseOptions = {}): Promise<void> {
    if (this.#closed) return;
    const hint = this.#time?.isReplaced ? FAKED_LATER : "";
    this.#time?.end();
    let problems: string[];
    try {
      problems = await this.problems(allowed);
      if (this.#expected.wellBehaved) problems.push(await this.#misbehaviour({}));
    } finally {
      await this.#end();
    }
    const refusals = this.#failures.map((error) => `a rule was refused: ${error instanceof Error ? error.message : error}`);
    const found = [...refusals, ...problems].filter(Boolean);
    if (found.length) throw new EmulatorFailure([...found, hint].filter(Boolean).join("\n\n"));
  }

  async #end(): Promise<void> {
    await this.#ask("DELETE", "");
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #ask<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    if (this.#closed) throw new Error("this session was closed");
    return this.#control.ask<T>(method, `/sessions/${this.id}${path}`, body);
  }
}

function withoutReply(id: string, at: string): ProblemBody {
  return { text: `the rule of .on() at ${at} has no .reply()`, allowed_by: "allow_unused=True", concerns: [id, at] };
}

/** Tell why a request was refused that no rule answered. */
function refused({ n, rule, refusal }: Exchange): string[] {
  if (rule !== "refused" || !refusal) return [];
  const details = refusal.details.map(({ path, message }) => `${path}: ${message}`).join("; ");
  return [`    exchange ${n}: ${refusal.code}: ${details || refusal.message}`];
}

/** Send what the control API takes: nothing, an object, YAML text, a file's text, or the name of a file of the library. */
async function withScenario<T>(scenario: string | object | undefined, send: (told: object) => Promise<T>): Promise<T> {
  if (scenario === undefined) return send({});
  if (typeof scenario !== "string" || scenario.includes("\n")) return send({ scenario });
  let text: string;
  try {
    text = await readFile(scenario, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return send({ library: scenario }).catch((refusal: unknown) => {
      if (!(refusal instanceof ControlError) || refusal.code !== "not_found") throw refusal;
      throw new ControlError(refusal.status, refusal.code, `there is no file ${resolve(scenario)}. ${refusal.message}`);
    });
  }
  return send({ scenario: text, file: scenario });
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
