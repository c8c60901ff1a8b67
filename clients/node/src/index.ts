export { ControlError, type Problem } from "./control.js";
export { Emulator, type StartOptions } from "./emulator.js";
export {
  EmulatorFailure,
  type CloseOptions,
  type Judgement,
  type Route,
  type Session,
  type SessionOptions,
} from "./session.js";
export type * from "./types.js";
