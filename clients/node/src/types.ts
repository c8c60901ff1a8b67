/** What a scenario says and a journal holds, as far as an editor can help with it; the server checks the rest. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Seconds, or `"200ms"`, `"1.5s"`, `"1m"`, `"forever"`. */
export type Duration = number | string;

/** A delay, or what it is drawn from. */
export type Delay =
  | Duration
  | { uniform: { min: Duration; max: Duration } }
  | { normal: { mean: Duration; sd: Duration; max?: Duration } }
  | { lognormal: { median: Duration; sigma: number; max?: Duration } };

/** A word that is known, or another: of a provider folder of one's own, or of a later version. */
type Known<Words extends string> = Words | (string & {});

export type Provider = Known<
  | "openai" | "anthropic" | "azure" | "beatra" | "brainstormrouter" | "braintwin" | "brivionix" | "compatible"
  | "deepseek" | "gemini" | "ollama" | "openrouter"
>;

/** Every provider has these; some have more, which `emulator providers NAME` lists. */
export type ErrorName = Known<
  | "bad_gateway" | "idempotency_in_progress" | "idempotency_mismatch" | "invalid_request" | "method_not_allowed"
  | "model_unavailable" | "not_found" | "rate_limited" | "server_error" | "timeout" | "too_large" | "unauthorized"
  | "unsupported_media_type" | "quota_exhausted" | "context_exceeded" | "model_not_found"
>;

export type Plan = string | { requests_per_minute?: number; tokens_per_minute?: number };

export type Scalar = string | number | boolean | null;

/** A value (equality), or one operator: `{contains: "report"}`. */
export type Matcher = Scalar | Operator;

/** One of these. */
export interface Operator {
  equals?: unknown;
  not?: Matcher;
  contains?: string;
  regex?: string;
  one_of?: readonly Scalar[];
  includes?: Scalar | readonly Scalar[];
  present?: boolean;
  absent?: boolean;
  lt?: Duration;
  lte?: Duration;
  gt?: Duration;
  gte?: Duration;
  like?: unknown;
  schema?: object;
  any?: readonly Matcher[];
  all?: readonly Matcher[];
}

/** A result of a tool in the request, or that there is none. */
export interface ToolResult {
  name?: Matcher;
  content?: Matcher;
  absent?: boolean;
  all?: readonly ToolResult[];
  any?: readonly ToolResult[];
}

/** What must hold of a request, all of it; the reference is in `scenarios/README.md`. */
export interface When {
  operation?: string;
  model?: Matcher;
  stream?: Matcher;
  last_user?: Matcher;
  system?: Matcher;
  turn?: Matcher;
  step?: Matcher;
  elapsed?: Matcher;
  tools?: Matcher;
  tool_result?: ToolResult;
  headers?: { [name: string]: Matcher };
  body?: { [path: string]: Matcher };
  state?: Scalar | { equals?: Scalar; one_of?: readonly Scalar[]; not?: Scalar };
}

/** What stands beside `when` in a rule. */
export interface RuleOptions {
  id?: string;
  after_last?: "repeat" | "cycle" | "unmatched";
  count_by?: Known<"session" | "request" | "key">;
  then?: { state: string | number | boolean };
  expect?: { calls?: number; min?: number; max?: number };
}

/** A call of a tool; `input` is what a custom tool is called with, in place of `arguments`. */
export interface ToolCall {
  name: string;
  arguments?: object | string;
  input?: string;
  id?: string;
}

/** How a stream is split and paced. */
export interface Stream {
  split?: "tokens" | "words" | "chars" | number | readonly string[];
  ttft?: Delay;
  itl?: Delay | readonly Delay[];
  pace?: "documented";
}

type ScriptedError =
  | ErrorName
  | { name: ErrorName; message?: string; details?: readonly { path?: string; field?: string; message: string }[] }
  | { status: number; body: unknown };

/** One kind of fault, and beside it how likely it strikes. */
export interface Fault {
  cut?: {
    after_chunks?: number;
    after_pieces?: number;
    after_bytes?: number;
    before?: "done";
    how?: "clean" | "fin" | "reset" | "garbage";
  };
  stall?: { after_chunks?: number; after_pieces?: number; for: Delay };
  slice?: { bytes: number | readonly number[] };
  merge?: { chunks: number };
  corrupt?: { chunk?: number; piece?: number };
  duplicate?: { chunk?: number; piece?: number };
  reorder?: { chunks: readonly [number, number] };
  drop_done?: true;
  half_event?: { chunk?: number; piece?: number };
  error_event?: { after_chunks?: number; after_pieces?: number; error: ScriptedError };
  comment?: { every: Delay };
  slow_headers?: { for: Delay };
  bandwidth?: { bytes_per_second: number };
  wrong_content_type?: true;
  invalid_json?: true;
  empty?: true;
  chance?: number;
}

interface TokenProbability {
  token: string;
  logprob: number;
}

/** What the model says, or an error's name; timing and faults beside it. */
export interface Reply {
  text?: string | object;
  tool_calls?: readonly ToolCall[];
  refusal?: string;
  reasoning?: string;
  outputs?: readonly Pick<Reply, "reasoning" | "text" | "refusal" | "tool_calls" | "logprobs" | "annotations">[];
  logprobs?: readonly (TokenProbability & { top?: readonly TokenProbability[] })[];
  annotations?: readonly { url: string; title: string; start?: number; end?: number }[];
  json?: unknown;
  events?: readonly (string | object)[];
  error?: ScriptedError;
  embedding?: "auto" | readonly number[] | readonly (readonly number[])[];
  builtin?: true;
  proxy?: true;
  times?: number;
  latency?: Delay;
  stream?: Stream;
  faults?: readonly Fault[];
  headers?: { [name: string]: string };
  status?: number;
  usage?:
    | "none"
    | {
        prompt_tokens?: number;
        completion_tokens?: number;
        cached_tokens?: number;
        cache_write_tokens?: number;
        reasoning_tokens?: number;
      };
  finish_reason?: string;
  retry_after?: Duration;
  off_contract?: boolean;
  verbatim?: boolean;
}

/** What differed between a request and what was expected of it. */
export interface Difference {
  field: string;
  expected: unknown;
  actual: unknown;
  why?: string;
}

/** One request and what was answered; all fields are in `emulator/README.md`. `Body` is the request's body. */
export interface Exchange<Body = any> {
  n: number;
  session: string;
  provider: string;
  operation: string;
  /** Unix seconds of the session's clock. */
  at: number;
  method: string;
  path: string;
  params?: { [name: string]: string };
  headers: { [name: string]: string };
  /** The key that came, redacted. */
  key: string;
  /** The body as JSON; null where it is none, or too large. */
  body: Body;
  /** The body as text, where it is not shown as JSON. */
  body_text: string | null;
  plan: string;
  model: string;
  notes: { fact: string | null; path: string; message: string }[];
  /** FILE:LINE of the rule that answered, or `"builtin"`, `"unmatched"`, `"refused"`. */
  rule: string;
  rule_id: string | null;
  /** Which call of its rule it was, from 1. */
  call: number | null;
  /** Which reply of its rule answered, from 0. */
  reply: number | null;
  seed: number;
  refusal: {
    code: string;
    status: number;
    message: string;
    fact: string | null;
    details: { path: string; message: string; fact: string | null }[];
  } | null;
  /** The rules that came nearest, where none answered. */
  nearest: { rule: string; id: string; differences: Difference[] }[];
  response: {
    status: number;
    headers: { [name: string]: string };
    body: any;
    body_text: string | null;
    stream: boolean;
    usage: { [kind: string]: number } | null;
    finish_reason: string | null;
  };
  timeline: {
    frames: { at: number; size: number; kind: string; sent_at: number | null }[];
    end: string;
    faults: string[];
  };
  sent: {
    bytes: number;
    frames: number;
    end: Known<"complete" | "cut" | "reset" | "client_left" | "under_way">;
    at: number | null;
    silent: number;
  };
  replay_of: number | null;
  crash: string | null;
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
