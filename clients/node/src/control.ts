/** A client of the emulator's control API. It uses node:http, so that a patched `fetch` or fake timers don't concern it. */

import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** One mistake in a scenario: where it is, and what would be right. */
export interface Problem {
  file: string;
  line: number;
  column: number;
  where: string;
  message: string;
}

/** The control API refused; `code` and `status` say how, `problems` where a scenario is wrong. */
export class ControlError extends Error {
  override readonly name = "ControlError";

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly problems: readonly Problem[] = [],
  ) {
    super(message);
  }
}

/** Asks `METHOD /_emulator/PATH` with JSON. In `http://TOKEN@HOST` TOKEN is the server's `--admin-token`. */
export class Control {
  readonly url: string;
  readonly #headers: Record<string, string> = { "content-type": "application/json" };
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string) {
    const parts = new URL(url.includes("://") ? url : `http://${url}`);
    this.url = `${parts.protocol}//${parts.host}${parts.pathname.replace(/\/+$/, "")}`;
    if (parts.username) this.#headers["authorization"] = `Bearer ${decodeURIComponent(parts.username)}`;
  }

  /** Return the answer's JSON; undefined for an empty one. Throws a ControlError where the API refuses. */
  async ask<T = unknown>(method: string, path: string, body?: unknown): Promise<T> {
    const { status, text } = await this.#exchange(method, path, body === undefined ? "" : JSON.stringify(body));
    let value: unknown;
    try {
      value = text ? JSON.parse(text) : undefined;
    } catch {
      throw this.#stranger(status);
    }
    if (status >= 400) {
      const error = (value as { error?: { code?: string; message?: string; problems?: Problem[] } } | undefined)?.error;
      if (!error?.message) throw this.#stranger(status);
      throw new ControlError(status, error.code ?? "", error.message, error.problems ?? []);
    }
    return value as T;
  }

  /** Let go of the kept connection. */
  close(): void {
    this.#agent.destroy();
  }

  #stranger(status: number): ControlError {
    return new ControlError(status, "", `what answers at ${this.url} is no emulator`);
  }

  #exchange(method: string, path: string, body: string): Promise<{ status: number; text: string }> {
    const secure = this.url.startsWith("https:");
    const headers = { ...this.#headers, "content-length": Buffer.byteLength(body) };
    return new Promise((resolve, reject) => {
      const read = (answer: IncomingMessage) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      };
      const options = secure ? { method, headers } : { method, headers, agent: this.#agent };
      const asked = (secure ? httpsRequest : httpRequest)(`${this.url}/_emulator${path}`, options, read);
      asked.on("error", (error) => reject(new Error(`no emulator answers at ${this.url}: ${error.message}`)));
      asked.end(body);
    });
  }
}
