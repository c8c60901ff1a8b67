/** What a scenario says and a journal holds, as far as an editor can help with it; the server checks the rest. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Seconds, or `"200ms"`, `"1.5s"`, `"1m"`, `"forever"`. */
export type Duration = number | string;

/** A value (equality), or one operator: `{contains: "report"}`. */
export type Matcher = Json;

/** What must hold of a request, all of it; the reference is in `scenarios/README.md`. */
export interface When {
  operation?: string;
  model?: Matcher;
  stream?: boolean;
  last_user?: Matcher;
  system?: Matcher;
  turn?: Matcher;
  step?: Matcher;
  elapsed?: Matcher;
  tools?: Matcher;
  tool_result?: Matcher;
  headers?: { [name: string]: Matcher };
  body?: { [path: string]: Matcher };
  state?: Matcher;
}

/** What stands beside `when` in a rule. */
export interface RuleOptions {
  id?: string;
  after_last?: "repeat" | "cycle" | "unmatched";
  count_by?: string;
  then?: { state: string };
  expect?: { calls?: number; min?: number; max?: number };
}

/** A call of a tool; `input` is what a custom tool is called with, in place of `arguments`. */
export interface ToolCall {
  name: string;
  arguments?: Json;
  input?: string;
  id?: string;
}

/** What the model says, or an error's name; timing and faults beside it. */
export interface Reply {
  text?: Json;
  tool_calls?: ToolCall[];
  refusal?: string;
  reasoning?: string;
  outputs?: Pick<Reply, "reasoning" | "text" | "refusal" | "tool_calls" | "logprobs" | "annotations">[];
  logprobs?: { token: string; logprob: number; top?: { token: string; logprob: number }[] }[];
  annotations?: { url: string; title: string; start?: number; end?: number }[];
  json?: Json;
  events?: Json[];
  error?: string | { [name: string]: Json };
  embedding?: Json;
  builtin?: true;
  proxy?: true;
  times?: number;
  latency?: Duration | { [name: string]: Json };
  stream?: { [name: string]: Json };
  faults?: { [name: string]: Json }[];
  headers?: { [name: string]: string };
  status?: number;
  usage?: Json;
  finish_reason?: string;
  retry_after?: Duration;
  off_contract?: boolean;
  verbatim?: boolean;
}

/** One request and what was answered; all fields are in `emulator/README.md`. */
export interface Exchange {
  n: number;
  provider: string;
  operation: string;
  at: number;
  method: string;
  path: string;
  headers: [string, string][] | { [name: string]: string };
  body: Json;
  rule: string;
  rule_id: string;
  notes: { fact: string; path: string; message: string }[];
  response: { status: number; headers: Json; body: Json; body_text: string; usage: Json; finish_reason: string | null };
  sent: { bytes: number; frames: number; end: "complete" | "cut" | "reset" | "client_left" | "under_way"; at: number };
  [field: string]: unknown;
}

/** What the docs ask of a caller, and whether this one did it. */
export interface Finding {
  fact: string;
  provider: string;
  status: "pass" | "fail" | "not_seen";
  advice: boolean;
  message: string;
  exchanges: number[];
  source: string;
}

export interface Verdict {
  ok: boolean;
  findings: Finding[];
}
