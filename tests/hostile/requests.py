"""A request of each dialect with nearly every member it has, to be damaged in any place."""

from __future__ import annotations

from collections.abc import Mapping

from tests.hostile.voices import Json

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA: Json = {"type": "object", "properties": {"by": {"type": "string", "enum": ["1", "2"]}}, "required": ["by"]}
EPHEMERAL = {"type": "ephemeral", "ttl": "1h"}

_CHAT: Json = {
    "model": "small",
    "messages": [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look."}, {"type": "refusal", "refusal": "No."}],
            "reasoning_content": "Hm.",
            "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0}],
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "turn", "arguments": '{"by":"1"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "done"}]},
        {"role": "assistant", "content": None, "function_call": {"name": "turn", "arguments": "{}"}},
        {"role": "function", "name": "turn", "content": "done"},
        {"role": "developer", "content": "Go on."},
    ],
    "tools": [
        {"type": "function", "function": {"name": "turn", "description": "d", "parameters": SCHEMA, "strict": True}}
    ],
    "tool_choice": {"type": "function", "function": {"name": "turn"}},
    "parallel_tool_calls": True,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 100, "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "n": 1, "seed": 7,
    "stop": ["a", "b"], "presence_penalty": 0.5, "frequency_penalty": -0.5, "logit_bias": {"1": 2},
    "logprobs": True, "top_logprobs": 2, "user": "u", "metadata": {"a": "b"}, "store": False,
    "reasoning_effort": "low", "verbosity": "low", "service_tier": "auto", "modalities": ["text"],
    "prediction": {"type": "content", "content": "x"}, "web_search_options": {}, "prompt_cache_key": "k",
}  # fmt: skip

_MESSAGES: Json = {
    "model": "small",
    "max_tokens": 5_000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": EPHEMERAL}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?", "cache_control": EPHEMERAL},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "page"},
                    "title": "t",
                    "citations": {"enabled": True},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "xx"},
                {"type": "text", "text": "I look.", "citations": [{"type": "char_location", "cited_text": "page"}]},
                {"type": "tool_use", "id": "toolu_1", "name": "turn", "input": {"by": "1"}},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": [{"type": "text", "text": "no"}],
                    "cache_control": EPHEMERAL,
                },
                {"type": "text", "text": "Go on."},
            ],
        },
    ],
    "tools": [
        {"name": "turn", "description": "d", "input_schema": SCHEMA, "cache_control": EPHEMERAL},
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2_000},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "stop_sequences": ["a"], "temperature": 1, "top_p": 0.9, "top_k": 5, "metadata": {"user_id": "u"},
    "service_tier": "auto", "container": "c", "context_management": {"edits": []}, "mcp_servers": [],
}  # fmt: skip

_RESPONSES: Json = {
    "model": "small",
    "instructions": "Be brief.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Go."}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is it?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "x",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []},
                {"type": "refusal", "refusal": "No."},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "turn", "arguments": '{"by":"1"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "done"}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}},
        {"type": "item_reference", "id": "msg_1"},
    ],
    "tools": [
        {"type": "function", "name": "turn", "description": "d", "parameters": SCHEMA, "strict": True},
        {"type": "web_search", "search_context_size": "low"},
        {"type": "custom", "name": "free", "format": {"type": "text"}},
    ],
    "tool_choice": {"type": "function", "name": "turn"},
    "parallel_tool_calls": False,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}, "verbosity": "low"},
    "max_output_tokens": 100, "max_tool_calls": 3, "temperature": 0.5, "top_p": 0.9, "top_logprobs": 2,
    "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "user": "u", "store": False,
    "metadata": {"a": "b"}, "service_tier": "auto", "truncation": "disabled", "background": False,
    "previous_response_id": None, "conversation": None, "prompt": None, "prompt_cache_key": "k",
    "safety_identifier": "s", "stream_options": {"include_obfuscation": False},
}  # fmt: skip

REQUESTS: Mapping[str, Json] = {"chat": _CHAT, "responses": _RESPONSES, "messages": _MESSAGES}
