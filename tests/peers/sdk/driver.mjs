// What a program does with the official TypeScript SDK, unmodified; the twin of driver.py.
//
//     node driver.mjs plain stream --socket /run/…/claude.sock      (prints one JSON object: what each act came to)

import Anthropic from "@anthropic-ai/sdk";
import { parseArgs } from "node:util";
import { Agent, fetch } from "undici";

const MODEL = "claude-sonnet-4-6";
const LARGE = 20 * 1024 * 1024;
const MANY = 20;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { socket: { type: "string" } } });

function client() {
  if (!values.socket) return new Anthropic({ maxRetries: 0 });
  const dispatcher = new Agent({ connect: { socketPath: values.socket } });
  return new Anthropic({
    maxRetries: 0,
    baseURL: "http://localhost",
    authToken: "none: the socket knows who is calling",
    fetch,
    fetchOptions: { dispatcher },
  });
}

const asked = (content = "a word from the SDK", model = MODEL) => ({
  model,
  max_tokens: 100,
  messages: [{ role: "user", content }],
});

async function text(asked) {
  const stream = claude.messages.stream(asked);
  const pieces = [];
  stream.on("text", (piece) => pieces.push(piece));
  await stream.finalMessage();
  return pieces;
}

async function failure(model = MODEL) {
  try {
    await claude.messages.create(asked("a word", model));
    return {};
  } catch (error) {
    return {
      class: error.constructor.name,
      status: error.status,
      message: error.message,
      "retry-after": error.headers?.get("retry-after") ?? null,
      "request-id": error.requestID ?? null,
    };
  }
}

const acts = {
  plain: async () => (await claude.messages.create(asked())).content[0].text,
  stream: async () => (await text(asked())).join(""),
  long: async () => (await text(asked("a word", "long"))).length,
  many: () => Promise.all(Array.from({ length: MANY }, async () => (await text(asked())).join(""))),
  count: async () => {
    const { max_tokens, ...said } = asked();
    return (await claude.messages.countTokens(said)).input_tokens;
  },
  large: async () => (await claude.messages.create(asked("x".repeat(LARGE)))).content[0].text,
  models: async () => {
    const names = [];
    for await (const model of claude.models.list({ limit: 2 })) names.push(model.id);
    return names;
  },
  limited: () => failure("fail-429"),
  overloaded: async () => {
    try {
      return { text: (await text(asked("a word", "fail-error-event"))).join("") };
    } catch (error) {
      return { class: error.constructor.name, body: error.error ?? null };
    }
  },
  failure: () => failure(),
};

const claude = client();
const came = {};
for (const act of positionals) came[act] = await acts[act]();
console.log(JSON.stringify(came));
