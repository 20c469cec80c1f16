// Verifies messages as the official Standard Webhooks library does. Reads lines of JSON
// {secret, headers, body} from stdin; prints `ok`, or why not, for each.
//
// Usage: node js_webhooks.mjs FOLDER_WITH_NODE_MODULES < messages

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { Webhook } = createRequire(process.argv[2] + "/")("standardwebhooks");

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("ok");
  } catch (error) {
    console.log(error.message);
  }
}
