/** A server of one's own: the Python command, started on a free port, which ends with this process. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";

/** How the server is started. */
export interface Command {
  /** The program and its first arguments; left out: `llm-emulator` of a `.venv` here or above, then of PATH. */
  command?: string | readonly string[];
  /** Further options of `emulator serve`, such as `["--schemas", "providers"]`. */
  args?: readonly string[];
  /** How long to wait until it accepts requests; 30,000 where left out. */
  timeoutMs?: number;
}

const READY = /^Emulator ready at (\S+)/m;
const KEPT = 4000; // characters of its output, for the message of a start that failed
const PATIENCE_MS = 5000; // for a server to end by itself, before it is killed
const BIN = process.platform === "win32" ? join("Scripts", "llm-emulator.exe") : join("bin", "llm-emulator");

/** A running `emulator serve`, and where it answers. */
export interface ServerProcess {
  url: string;
  stop(): Promise<void>;
}

/** Start a server and return once it accepts requests. Throws an Error that says what it printed, or how to install it. */
export async function startServer({ command, args = [], timeoutMs = 30_000 }: Command): Promise<ServerProcess> {
  const [program, ...first] = command === undefined ? [found()] : typeof command === "string" ? [command] : command;
  if (program === undefined) throw new Error("`command` must name a program");
  // It stops when its standard input ends: however this process goes, none is left behind.
  const options = ["serve", "--port", "0", "--quiet", "--stop-with-stdin", ...args];
  const child = spawn(program, [...first, ...options], { stdio: ["pipe", "pipe", "pipe"] });
  const url = await ready(child, program, timeoutMs);
  for (const part of [child, child.stdin, child.stdout, child.stderr]) (part as { unref?: () => void }).unref?.();
  return { url, stop: () => stopped(child) };
}

/** The nearest `.venv` that has the command, else its name, to be found on PATH. */
function found(): string {
  for (let folder = process.cwd(), above = ""; folder !== above; above = folder, folder = dirname(folder)) {
    const file = join(folder, ".venv", BIN);
    if (existsSync(file)) return file;
  }
  return "llm-emulator";
}

function ready(child: ChildProcess, program: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const fail = (why: string) => {
      clearTimeout(timer);
      child.kill();
      reject(new Error(`${program} serve ${why}${output.trim() ? `:\n${output.trim()}` : ""}`));
    };
    const timer = setTimeout(() => fail(`did not accept requests within ${timeoutMs} ms`), timeoutMs);
    const read = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-KEPT);
      const line = READY.exec(output);
      if (!line) return;
      clearTimeout(timer);
      resolve(line[1]!);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("error", (error: NodeJS.ErrnoException) => fail(error.code === "ENOENT" ? MISSING : error.message));
    child.on("exit", (code) => fail(`ended with ${code}`));
  });
}

const MISSING =
  "cannot be run: there is no such command. Install it (`python3 -m venv .venv && .venv/bin/pip install PATH/TO/llm-emulator`), " +
  "name it (`Emulator.start({command})`), or use a server that runs (`Emulator.start({url})`)";

function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.removeAllListeners("exit");
    child.ref();
    const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
    child.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.stdin?.end();
  });
}
