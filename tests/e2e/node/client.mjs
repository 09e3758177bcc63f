// The npm package openai, unchanged, against a gateway: does what its first argument says and prints JSON.
import OpenAI from "openai";

const [task, baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "Hello" }];
const tools = [
  {
    type: "function",
    function: {
      name: "weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    },
  },
];

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const tasks = {
  async chat() {
    const { data, request_id } = await client.chat.completions.create({ model, messages }).withResponse();
    return { content: data.choices[0].message.content, usage: data.usage, request_id };
  },
  async stream() {
    const chunks = await collect(await client.chat.completions.create({ model, messages, stream: true }));
    return {
      content: chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""),
      finish: chunks.at(-1).choices[0].finish_reason,
    };
  },
  async tools() {
    const runner = client.chat.completions.stream({ model, messages, tools, tool_choice: "required" });
    const completion = await runner.finalChatCompletion();
    const { name, arguments: sent } = completion.choices[0].message.tool_calls[0].function;
    return { name, arguments: JSON.parse(sent) };
  },
  async embeddings() {
    const answer = await client.embeddings.create({ model, input: "one", dimensions: 8 });
    return { dimensions: answer.data[0].embedding.length };
  },
  async models() {
    return (await client.models.list()).data.map((one) => one.id);
  },
  async error() {
    try {
      await client.chat.completions.create({ model, messages });
    } catch (error) {
      const { status, code, param, type, requestID, message } = error;
      return { kind: error.constructor.name, status, code, param, type, requestID, message };
    }
  },
  async broken() {
    const words = [];
    try {
      for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
        words.push(chunk.choices[0].delta.content);
      }
    } catch (error) {
      return { kind: error.constructor.name, code: error.code, words };
    }
  },
  async leave() {
    const { data: stream, request_id } = await client.chat.completions
      .create({ model, messages, stream: true })
      .withResponse();
    let events = 0;
    for await (const _ of stream) {
      events += 1;
      if (events === 4) break;
    }
    return { request_id };
  },
};

console.log(JSON.stringify(await tasks[task]()));
