// Tells Node that the second build is CommonJS, and puts the licence beside both.
import { copyFileSync, writeFileSync } from "node:fs";

writeFileSync("dist/cjs/package.json", '{"type": "commonjs"}\n');
copyFileSync("../../LICENSE", "LICENSE");
