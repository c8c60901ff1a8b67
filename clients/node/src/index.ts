export { ControlError, type Problem } from "./control.js";
export { Emulator, type StartOptions } from "./emulator.js";
export { EmulatorFailure, type CloseOptions, type Route, type Session, type SessionOptions } from "./session.js";
export type { Duration, Exchange, Finding, Json, Matcher, Reply, RuleOptions, ToolCall, Verdict, When } from "./types.js";
