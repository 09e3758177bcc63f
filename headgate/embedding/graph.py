"""The graph of MiniLM-L6 (a BERT of 6 layers, mean of its last one) in ONNX, made from its weights.

Imports onnx and numpy: for preparing only. The architecture is that of Devlin et al., "BERT" (2019), with the sizes of
sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]

LAYERS, HEADS, WIDTH = 6, 12, 384
EPSILON = 1e-12  # of the layer normalisation
OPSET, IR_VERSION = 18, 9


def minilm(weights: Weights) -> onnx.ModelProto:
    """`ids` and `mask` (int64, texts x tokens) to `vectors` (float32, texts x 384, each of length one).

    Raises KeyError if a weight is missing.
    """
    graph = _Graph(weights)
    hidden = graph.embeddings()
    bias = graph.attention_bias()
    for layer in range(LAYERS):
        hidden = graph.layer(hidden, bias, f"encoder.layer.{layer}.")
    graph.mean(hidden)
    return graph.model()


class _Graph:
    """Adds nodes one by one; a node is known by the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, Array] = {}

    def embeddings(self) -> str:
        """Word, position and segment of each token."""
        words = self._add("Gather", self._weight("embeddings.word_embeddings.weight"), "ids")
        length = self._add("Shape", "ids", start=1, end=2)
        table = self._weight("embeddings.position_embeddings.weight")
        positions = self._add("Slice", table, self._ints("zero", 0), length, self._ints("axis0", 0))
        segment = self._constant("segment", self._weights["embeddings.token_type_embeddings.weight"][0])
        both = self._add("Add", self._add("Add", words, positions), segment)
        return self._normalised(both, "embeddings.LayerNorm")

    def attention_bias(self) -> str:
        """Zero where there is a token, very negative where a text has been filled up to the longest."""
        self._mask = self._add("Cast", "mask", to=TensorProto.FLOAT)
        wide = self._add("Unsqueeze", self._mask, self._ints("axes12", 1, 2))
        return self._add("Mul", self._add("Sub", wide, self._float("one", 1)), self._float("far", 1e9))

    def layer(self, hidden: str, bias: str, name: str) -> str:
        """Attention, then the feed-forward part, each added to what came in and normalised."""
        mixed = self._linear(self._attention(hidden, bias, name), f"{name}attention.output.dense")
        hidden = self._normalised(self._add("Add", hidden, mixed), f"{name}attention.output.LayerNorm")
        inner = self._gelu(self._linear(hidden, f"{name}intermediate.dense"))
        outer = self._linear(inner, f"{name}output.dense")
        return self._normalised(self._add("Add", hidden, outer), f"{name}output.LayerNorm")

    def mean(self, hidden: str) -> None:
        """The mean over a text's tokens, brought to length one."""
        wide = self._add("Unsqueeze", self._mask, self._ints("axis2", 2))
        axis = self._ints("axis1", 1)
        total = self._add("ReduceSum", self._add("Mul", hidden, wide), axis, keepdims=0)
        mean = self._add("Div", total, self._add("ReduceSum", self._mask, axis, keepdims=1))
        length = self._add("ReduceL2", mean, axis, keepdims=1)
        self._nodes.append(helper.make_node("Div", [mean, length], ["vectors"]))

    def model(self) -> onnx.ModelProto:
        """The whole, checked."""
        ins = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in ("ids", "mask")]
        out = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", WIDTH])
        constants = [
            numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in self._constants.items()
        ]
        graph = helper.make_graph(self._nodes, "minilm", ins, [out], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    def _attention(self, hidden: str, bias: str, name: str) -> str:
        shape = self._ints("heads", 0, 0, HEADS, WIDTH // HEADS)

        def heads(part: str, order: Sequence[int]) -> str:
            split = self._add("Reshape", self._linear(hidden, f"{name}attention.self.{part}"), shape)
            return self._add("Transpose", split, perm=order)

        query, key, value = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scale = self._float("scale", (WIDTH // HEADS) ** -0.5)
        scores = self._add("Add", self._add("Mul", self._add("MatMul", query, key), scale), bias)
        seen = self._add("MatMul", self._add("Softmax", scores, axis=-1), value)
        joined = self._add("Transpose", seen, perm=[0, 2, 1, 3])
        return self._add("Reshape", joined, self._ints("joined", 0, 0, WIDTH))

    def _gelu(self, value: str) -> str:
        """x / 2 * (1 + erf(x / sqrt 2)), the exact form that BERT was trained with."""
        erf = self._add("Erf", self._add("Mul", value, self._float("root", 0.5**0.5)))
        half = self._add("Mul", value, self._float("half", 0.5))
        return self._add("Mul", half, self._add("Add", erf, self._float("one", 1)))

    def _linear(self, value: str, name: str) -> str:
        matrix = self._constant(f"{name}.matrix", self._weights[f"{name}.weight"].T)  # outputs x inputs in the file
        return self._add("Add", self._add("MatMul", value, matrix), self._weight(f"{name}.bias"))

    def _normalised(self, value: str, name: str) -> str:
        parts = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._add("LayerNormalization", value, *parts, axis=-1, epsilon=EPSILON)

    def _add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"node{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}{len(self._nodes)}", **attributes))
        return output

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _float(self, name: str, value: float) -> str:
        return self._constant(name, np.array(value, dtype=np.float32))

    def _ints(self, name: str, *values: int) -> str:
        return self._constant(name, np.array(values, dtype=np.int64))

    def _constant(self, name: str, value: Array) -> str:
        self._constants[name] = value
        return name
