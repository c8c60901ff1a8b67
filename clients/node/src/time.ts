/**
 * Fast time: the waits after a request that failed move the session's clock, and take no time.
 *
 * While active, `setTimeout` is ours, and `Date` moves along with the session's clock. Know that:
 *
 * - a wait is passed over where the emulator answered with an error, or broke off, and no request followed yet. All
 *   others stay real: a time-out that was set before, `setInterval`, `timers/promises`, `AbortSignal.timeout`;
 * - none is passed over while an HTTP request of this process is under way: so the time-out of a request stays real;
 * - waits end at their due times, in order: two of 60 s side by side take 60 s, not 120;
 * - timers of Node and undici stay real, one that is `unref`ed does, and so does `performance.now`;
 * - a wait that is not passed over ends in real time, as it would without us; under fake timers, when they say so;
 * - fake timers may be there before, and they may come later: a request that fails puts ours over them.
 */

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { errorMonitor } from "node:events";
import * as timers from "node:timers";

import type { Control } from "./control.js";

/** As they are when this is loaded: fake timers replace those of the module too. */
const { clearTimeout: realClearTimeout, setImmediate: realSetImmediate, setTimeout: realSetTimeout } = timers;
const RealTimeout = realSetTimeout(() => {}).unref().constructor;

/** How long nothing must happen before the clock moves: so many looks, so far apart. */
const LOOKS = 4;
const LOOK_MS = 2;
/** Whose timers stay real, by the file that sets them. */
const REAL = /\bnode:|[\\/]undici[\\/]/;

interface Wait {
  due: Promise<number>; // Unix seconds of the session's clock
  timer: NodeJS.Timeout;
  end: () => void;
}

let active: FastTime | undefined;

/** Passes over waits of this process for one session. */
export class FastTime {
  readonly #control: Control;
  readonly #path: string; // of the session's clock
  readonly #waits = new Set<Wait>();
  readonly #underWay = new Set<unknown>();
  readonly #undo: (() => void)[] = [];
  readonly #stands: Record<string, unknown> = {}; // what is in the place of a global, by its name
  #failed = 0; // requests that failed, and that none has followed yet
  #happened = 0; // counts what the next step must wait for
  #looks = false;
  #seen = 0; // Unix seconds of the session's clock

  private constructor(control: Control, session: string) {
    this.#control = control;
    this.#path = `/sessions/${session}/clock`;
  }

  /** Begin. Throws where another session's is active. */
  static async begin(control: Control, session: string): Promise<FastTime> {
    if (active) throw new Error("fastTime of another session is active in this process: close that session first");
    const made = (active = new FastTime(control, session));
    try {
      made.#seen = await made.#now();
    } catch (error) {
      active = undefined;
      throw error;
    }
    made.#listen();
    made.#replace();
    return made;
  }

  /** Tell whether something else stands in the place of ours. */
  get isReplaced(): boolean {
    return globalThis.setTimeout !== this.#stands["setTimeout"];
  }

  /** Put back what was replaced; waits that are left end in real time. */
  end(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo();
    this.#waits.clear();
    if (active === this) active = undefined;
  }

  async #now(): Promise<number> {
    return (await this.#control.ask<{ now: number }>("GET", this.#path)).now;
  }

  // What is under way

  #listen(): void {
    const on = (channel: string, told: (message: any) => void) => {
      const listener = (message: unknown) => told(message);
      subscribe(channel, listener);
      this.#undo.push(() => unsubscribe(channel, listener));
    };
    on("undici:request:create", ({ request }) => this.#start(request));
    on("undici:request:headers", ({ request, response }) => this.#answered(request.origin, response.statusCode));
    on("undici:request:trailers", ({ request }) => this.#finish(request));
    on("undici:request:error", ({ request }) => this.#broke(request, request.origin));
    on("http.client.request.start", ({ request }) => {
      if (request.path.endsWith(this.#path)) return; // our own
      const origin = `http://${request.getHeader("host")}`;
      this.#start(request);
      let answer: { statusCode: number; complete: boolean } | undefined;
      request.once("response", (given: typeof answer) => this.#answered(origin, (answer = given)!.statusCode));
      request.once(errorMonitor, () => this.#broke(request, origin));
      request.once("close", () => (answer?.complete ? this.#finish(request) : this.#broke(request, origin)));
    });
  }

  #start(request: unknown): void {
    this.#happened++;
    this.#failed = Math.max(0, this.#failed - 1);
    this.#underWay.add(request);
  }

  #answered(origin: unknown, status: number): void {
    this.#happened++;
    if (status >= 400 && this.#isOurs(origin)) this.#fail();
  }

  #broke(request: unknown, origin: unknown): void {
    if (this.#underWay.has(request) && this.#isOurs(origin)) this.#fail();
    this.#finish(request);
  }

  #fail(): void {
    this.#failed++;
    this.#replace(); // fake timers may have come since
  }

  #finish(request: unknown): void {
    this.#happened++;
    this.#underWay.delete(request);
  }

  #isOurs(origin: unknown): boolean {
    return new URL(String(origin)).host === new URL(this.#control.url).host;
  }

  // What is replaced

  #replace(): void {
    const scope = globalThis as unknown as Record<string, unknown>;
    const made = { setTimeout: () => this.#setTimeout(), clearTimeout: () => this.#clearTimeout(), Date: () => this.#date() };
    for (const [name, make] of Object.entries(made)) {
      const before = scope[name];
      if (before === this.#stands[name]) continue;
      const stand = (scope[name] = this.#stands[name] = make());
      this.#undo.push(() => {
        if (scope[name] === stand) scope[name] = before;
      });
    }
  }

  #setTimeout(): unknown {
    const real = globalThis.setTimeout;
    const stand = (done: (...args: unknown[]) => void, ms?: number, ...args: unknown[]): NodeJS.Timeout => {
      if (isReal(stand)) return realSetTimeout(done, ms, ...args);
      const passes = active === this && this.#failed && Number(ms) > 0;
      return passes ? this.#wait(() => done(...args), Number(ms)) : real(done, ms, ...args);
    };
    return Object.defineProperties(stand, Object.getOwnPropertyDescriptors(real)); // util.promisify reads one
  }

  /** Return what clears real timers too: fake timers know no others than their own. */
  #clearTimeout(): unknown {
    const before = globalThis.clearTimeout;
    return (timer: NodeJS.Timeout) => (timer instanceof RealTimeout ? realClearTimeout : before)(timer);
  }

  #date(): DateConstructor {
    const real = globalThis.Date;
    const from = this.#seen;
    const passed = () => (active === this ? Math.round((this.#seen - from) * 1000) : 0);
    const now = () => real.now() + passed();
    return new Proxy(real, {
      apply: () => new real(now()).toString(),
      construct: (target, args, made) => Reflect.construct(target, args.length ? args : [now()], made) as Date,
      get: (target, name) => (name === "now" ? now : (Reflect.get(target, name) as unknown)),
    });
  }

  // How time passes

  #wait(done: () => void, ms: number): NodeJS.Timeout {
    const end = () => {
      realClearTimeout(wait.timer);
      this.#waits.delete(wait);
      realSetImmediate(done); // what it throws is nobody's here
    };
    const wait: Wait = { due: this.#now().then((now) => now + ms / 1000), timer: realSetTimeout(end, ms), end };
    wait.due.catch(() => this.#waits.delete(wait)); // the session is gone
    this.#waits.add(wait);
    this.#happened++;
    if (!this.#looks) void this.#look();
    return wait.timer;
  }

  /** Look until nothing has happened for a while, then end the wait that is due first; and so on, while there are any. */
  async #look(): Promise<void> {
    this.#looks = true;
    for (let quiet = 0, happened = -1; this.#waits.size; ) {
      await new Promise((resolve) => realSetTimeout(resolve, LOOK_MS));
      for (const wait of this.#waits) if (!isAwaited(wait.timer)) this.#waits.delete(wait);
      quiet = this.#underWay.size || happened !== this.#happened ? 0 : quiet + 1;
      happened = this.#happened;
      if (quiet < LOOKS) continue;
      await this.#pass().catch(() => this.#waits.clear());
      quiet = 0;
    }
    this.#looks = false;
  }

  /** End the wait that is due first, and move the clock to its time, unless something happens meanwhile. */
  async #pass(): Promise<void> {
    const happened = this.#happened;
    const waits = [...this.#waits];
    const dues = await Promise.all(waits.map((wait) => wait.due));
    const due = Math.min(...dues);
    const first = waits[dues.indexOf(due)];
    this.#seen = await this.#now();
    if (!first || this.#happened !== happened) return;
    if (due > this.#seen) {
      this.#seen = (await this.#control.ask<{ now: number }>("PATCH", this.#path, { advance: due - this.#seen })).now;
    }
    if (isAwaited(first.timer)) first.end();
  }
}

/** Tell whether a timer was neither cleared, by whatever way, nor unrefed. */
function isAwaited(timer: NodeJS.Timeout): boolean {
  return timer.hasRef() && !(timer as { _destroyed?: boolean })._destroyed;
}

/** Tell whether whoever called `below` sets timers that stay real. */
function isReal(below: (...args: never[]) => unknown): boolean {
  const here = { stack: "" };
  Error.captureStackTrace(here, below);
  return REAL.test(here.stack.split("\n")[1] ?? "");
}
