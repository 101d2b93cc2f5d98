// Runs mp_run.py on MicroPython's WebAssembly build: node wasm_run.mjs HEAP_BYTES MODULE FUNCTION...
// The firmware and the tests are copied into its file system; wasm_shim/ supplies what this build lacks.

import fs from "node:fs";
import path from "node:path";
import { webcrypto } from "node:crypto";
import { loadMicroPython } from "@micropython/micropython-webassembly-pyscript/micropython.mjs";

const [heapsize, module, ...functions] = process.argv.slice(2);
const root = path.dirname(import.meta.dirname);
const mp = await loadMicroPython({ heapsize: Number(heapsize), stdout: (line) => console.log(line) });

function copy(from, to) {
  mp.FS.mkdirTree(to);
  for (const entry of fs.readdirSync(path.join(root, from), { withFileTypes: true })) {
    if (["node_modules", "__pycache__"].includes(entry.name)) continue;
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory()) copy(source, target);
    else mp.FS.writeFile(target, fs.readFileSync(path.join(root, source)));
  }
}

copy("firmware", "/firmware");
copy("tests", "/tests");
mp.registerJsModule("host_random", {
  hex: (n) => Buffer.from(webcrypto.getRandomValues(new Uint8Array(n))).toString("hex"),
});
try {
  mp.runPython(`
import sys
sys.path[:] = ["/tests/wasm_shim", "/firmware", "/", ".frozen"]
from tests.mp_run import run
run(${JSON.stringify(module)}, ${JSON.stringify(functions)})
`);
} catch (error) {
  // Node would print the whole of MicroPython's JavaScript with it.
  console.log(String(error));
  process.exitCode = 1;
}
