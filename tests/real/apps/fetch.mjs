// Streams a URL into a file with the fetch that Node, and in much the same way every browser, has; 18 says that it broke.
//
//     fetch.mjs URL FILE

import { closeSync, openSync, writeSync } from "node:fs";

const [url, path] = process.argv.slice(2);
const file = openSync(path, "w");
try {
  const answer = await fetch(url, { headers: { accept: "application/x-ndjson" } });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  for await (const piece of answer.body) writeSync(file, piece);
} catch (error) {
  console.error(`${error}: ${error.cause ?? "no cause given"}`);
  process.exitCode = 18;
} finally {
  closeSync(file);
}
