// The npm packages openai and @anthropic-ai/sdk, unchanged, against a gateway with several vendors behind it.
// Does what its first argument says and prints JSON.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const [task, url, apiKey, model] = process.argv.slice(2);
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const hello = [{ role: "user", content: "Hello" }];
const question = { role: "user", content: "How is the weather in Rome?" };
const parameters = {
  type: "object",
  properties: { city: { type: "string" }, unit: { type: "string" } },
  required: ["city", "unit"],
};
const max_tokens = 500;

function told(error) {
  return { kind: error.constructor.name, status: error.status, message: error.message };
}

const tasks = {
  async chat() {
    const stream = openai.chat.completions.stream({ model, messages: hello, stream_options: { include_usage: true } });
    const completion = await stream.finalChatCompletion();
    return { text: completion.choices[0].message.content, tokens: completion.usage.total_tokens };
  },
  async chatTools() {
    const tools = [{ type: "function", function: { name: "weather", parameters } }];
    const called = await openai.chat.completions.create({ model, messages: [question], tools });
    const { message } = called.choices[0];
    const [call] = message.tool_calls;
    const result = { role: "tool", tool_call_id: call.id, content: "21 C" };
    const after = await openai.chat.completions.create({ model, messages: [question, message, result], tools });
    return { arguments: JSON.parse(call.function.arguments), text: after.choices[0].message.content };
  },
  async responses() {
    const stream = openai.responses.stream({ model, input: "Hello" });
    let text = "";
    for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
    const final = await stream.finalResponse();
    return { text, whole: final.output_text, tokens: final.usage.total_tokens };
  },
  async responsesTools() {
    const tools = [{ type: "function", name: "weather", parameters, strict: false }];
    const called = await openai.responses.create({ model, input: [question], tools });
    const call = called.output.find((item) => item.type === "function_call");
    const result = { type: "function_call_output", call_id: call.call_id, output: "21 C" };
    const after = await openai.responses.create({ model, input: [question, ...called.output, result], tools });
    return { arguments: JSON.parse(call.arguments), text: after.output_text };
  },
  async messages() {
    const stream = anthropic.messages.stream({ model, max_tokens, messages: hello });
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const message = await stream.finalMessage();
    return { text, whole: message.content.at(-1).text, stop: message.stop_reason, tokens: message.usage.output_tokens };
  },
  async messagesTools() {
    const tools = [{ name: "weather", input_schema: parameters }];
    const called = await anthropic.messages.stream({ model, max_tokens, messages: [question], tools }).finalMessage();
    const call = called.content.find((block) => block.type === "tool_use");
    const result = { type: "tool_result", tool_use_id: call.id, content: "21 C" };
    const messages = [question, { role: "assistant", content: called.content }, { role: "user", content: [result] }];
    const after = await anthropic.messages.create({ model, max_tokens, messages, tools });
    return { arguments: call.input, text: after.content.at(-1).text };
  },
  async count() {
    return (await anthropic.messages.countTokens({ model, messages: hello })).input_tokens;
  },
  async errors() {
    return [
      await openai.chat.completions.create({ model, messages: hello }).catch(told),
      await openai.responses.create({ model, input: "Hello" }).catch(told),
      await anthropic.messages.create({ model, max_tokens, messages: hello }).catch(told),
    ];
  },
};

console.log(JSON.stringify(await tasks[task]()));
