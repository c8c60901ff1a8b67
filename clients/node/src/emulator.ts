/// <reference lib="esnext.disposable" preserve="true" />
/** A server, and the sessions that tests open on it. */

import { Control } from "./control.js";
import { type Command, startServer } from "./process.js";
import { openSession, type Session, type SessionOptions } from "./session.js";

/** Where the server is; without `url` one is started. */
export interface StartOptions extends Command {
  /** A server that runs, such as a container's: `http://127.0.0.1:4010`, with `--admin-token`: `http://TOKEN@HOST:PORT`. */
  url?: string;
}

/** A server of the emulator. `await Emulator.start()` once for a test file, `session()` for each test. */
export class Emulator {
  readonly #control: Control;
  readonly #stop: () => Promise<void>;
  #stopped = false;

  private constructor(control: Control, stop: () => Promise<void>) {
    this.#control = control;
    this.#stop = stop;
  }

  /** Start a server on a free port, or use the one at `url`. Throws where none answers. */
  static async start(options: StartOptions = {}): Promise<Emulator> {
    const server = options.url === undefined ? await startServer(options) : { url: options.url, stop: async () => {} };
    const control = new Control(server.url);
    await control.ask("GET", "/health");
    return new Emulator(control, server.stop);
  }

  /** Where it answers; the inspector is at `/_emulator/` below it. */
  get url(): string {
    return this.#control.url;
  }

  /** Open a session: a world of its own, with its scenario, journal, counters, clock and key. */
  async session(options: SessionOptions = {}): Promise<Session> {
    if (this.#stopped) throw new Error("this emulator was stopped: start another with Emulator.start()");
    return openSession(this.#control, options);
  }

  /** Stop the server, if this started it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#control.close();
    await this.#stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
