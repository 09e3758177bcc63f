"""The first part of a score: ridge regression with weights that kinds share, and weights of their own beside them.

Of each kind k the prediction is x . (SHARED * s + w_k), and what is minimised is the weighted squared error plus
PENALTY * (|s|^2 + sum of |w_k|^2). Solved exactly: each w_k follows from s, which leaves one system for s.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SHARED = 0.3  # how much kinds lean on each other
CONSTANT = 3.0  # of the column for the intercept: the larger, the less it is penalised


def fit(columns: Array, losses: Array, weights: Array, kinds: Array, penalty: float, count: int) -> Array:
    """Coefficients, kinds x (columns + 1), the intercept last."""
    wide = np.hstack([columns, np.full((len(columns), 1), CONSTANT)])
    size = wide.shape[1]
    grams, targets, inverses = [], [], []
    for kind in range(count):
        rows = kinds == kind
        scaled = wide[rows] * weights[rows, None]
        grams.append(scaled.T @ wide[rows])
        targets.append(scaled.T @ losses[rows])
        inverses.append(np.linalg.inv(grams[-1] + penalty * np.eye(size)))
    left, right = penalty * np.eye(size), np.zeros(size)
    for gram, target, inverse in zip(grams, targets, inverses, strict=True):
        explained = gram @ inverse
        left += SHARED**2 * (gram - explained @ gram)
        right += SHARED * (target - explained @ target)
    shared = SHARED * np.linalg.solve(left, right)
    coefficients = np.array(
        [shared + inverse @ (t - g @ shared) for inverse, t, g in zip(inverses, targets, grams, strict=True)]
    )
    coefficients[:, -1] *= CONSTANT
    return coefficients


def predict(coefficients: Array, columns: Array, kinds: Array) -> Array:
    """One loss for each row."""
    chosen = coefficients[kinds]
    result: Array = np.einsum("ij,ij->i", columns, chosen[:, :-1]) + chosen[:, -1]
    return result
