// The package as CommonJS has it (jest, older projects), and a server that ends with the process that started it.
const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { test } = require("node:test");

test("it can be required", () => {
  const { Emulator } = require("llm-emulator-node");
  assert.equal(typeof Emulator.start, "function");
});

test("a process that is killed leaves no server behind", async () => {
  const program = "require('llm-emulator-node').Emulator.start().then((e) => console.log(e.url)); setInterval(() => {}, 1000)";
  const child = spawn(process.execPath, ["-e", program], { cwd: __dirname, stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((resolve) => child.stdout.once("data", (data) => resolve(String(data).trim())));
  assert.equal((await fetch(`${url}/_emulator/health`)).status, 200);
  child.kill("SIGKILL");
  for (let answers = true; answers; ) answers = await fetch(`${url}/_emulator/health`).then(() => true, () => false);
});
