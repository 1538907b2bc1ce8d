"""Predicts from a JSON document alone, as docs/model-format.md tells; nothing of attain is used.

Rows come as a frame of typed columns: numbers and truth values as floats, dates as datetime64,
categories and texts as text; a missing cell is NaN, NaT or None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd


def predict(document: Mapping[str, Any], frame: pd.DataFrame) -> np.ndarray:
    """Probabilities of shape (n, classes), or values of shape (n,)."""
    files = {name: read(content) for name, content in document["learner"].items()}
    about = files["model.json"]
    X = matrix(files, frame) if about["prepared"] else np.empty((len(frame), 0))
    if about["constant"] is not None:
        raw = np.tile(about["constant"], (len(frame), 1))
    else:
        raw = np.asarray(CORES[about["learner"]](files, X)).reshape(len(frame), -1)
    if not about["classes"]:
        return raw[:, 0]
    full = np.zeros((len(frame), about["classes"]))
    full[:, about["seen"]] = raw
    return calibrated(full / full.sum(axis=1, keepdims=True), document["about"].get("calibrator"))


def calibrated(p: np.ndarray, calibrator: Mapping[str, Any] | None) -> np.ndarray:
    """Probabilities as the model's calibrator changes them."""
    if calibrator is None:
        return p
    values, logs = calibrator["values"], np.log(np.clip(p, 2.2e-16, 1))
    if calibrator["method"] == "temperature":
        powers = np.exp(logs / values[0])
        return powers / powers.sum(axis=1, keepdims=True)
    if calibrator["method"] == "platt":
        second = 1 / (1 + np.exp(-(values[0] * (logs[:, 1] - logs[:, 0]) + values[1])))
    else:
        second = np.interp(p[:, 1], calibrator["at"], values)
    return np.stack([1 - second, second], axis=1)


def read(content: Any) -> Any:
    """Arrays wherever the document has some; records as a mapping of columns."""
    if not isinstance(content, dict):
        return content
    if content.keys() != {"dtype", "shape", "data"}:
        return {name: read(part) for name, part in content.items()}
    kinds, data = content["dtype"], content["data"]
    if isinstance(kinds, dict):
        return {name: np.array(data[name], dtype=kinds[name]) for name in kinds}
    return np.array(data, dtype=kinds).reshape(content["shape"])


def matrix(files: Mapping[str, Any], frame: pd.DataFrame) -> np.ndarray:
    """Typed columns as the numbers that a learner sees, shape (n, width)."""
    plain, arrays = files["prepare.json"], files["prepare.npz"]
    code = codes(plain["categories"], frame)
    looked_up = arrays["means.table"][code[:, arrays["means.columns"]] + arrays["means.starts"]]
    texts = [words(frame[t["name"]], t, arrays, i) for i, t in enumerate(plain["texts"])]
    blocks = [numbers(frame, plain["numbers"]), looked_up.reshape(len(frame), -1)]
    blocks += dates(frame, plain["dates"], arrays["dates.origin"])
    raw = np.hstack(blocks + [sizes for sizes, _ in texts])
    columns = [scaled(raw[:, arrays["numeric.used"]], plain["numeric"]["kind"], arrays)]
    columns += [np.isnan(raw[:, arrays["numeric.flags"]]), *[topics for _, topics in texts]]
    return np.hstack([*columns, last(code, plain, arrays)])


def numbers(frame: pd.DataFrame, names: list[str]) -> np.ndarray:
    found = frame[names].to_numpy(dtype=float).copy()
    found[np.isinf(found)] = np.nan
    return np.clip(found, -1e30, 1e30)


def codes(categories: Mapping[str, Any], frame: pd.DataFrame) -> np.ndarray:
    found = np.zeros((len(frame), len(categories["names"])), dtype=int)
    for j, (name, labels) in enumerate(zip(*map(categories.get, ("names", "labels")), strict=True)):
        code = {label: i + 1 for i, label in enumerate(labels)}
        cells = frame[name].to_numpy(dtype=object)
        found[:, j] = [code.get(c, 0) if isinstance(c, str) else len(labels) + 1 for c in cells]
    return found


def last(code: np.ndarray, plain: Mapping[str, Any], arrays: Mapping[str, Any]) -> np.ndarray:
    if plain["codes"]:
        gap = np.array([len(labels) + 1 for labels in plain["categories"]["labels"]])
        return np.where((code == 0) | (code == gap), np.nan, code)
    out = np.zeros((len(code), plain["one_hot"]["width"]))
    slots = arrays["one_hot.slots"][code[:, arrays["one_hot.columns"]] + arrays["one_hot.starts"]]
    row, column = np.nonzero(slots >= 0)
    out[row, slots[row, column]] = 1.0
    return out


def dates(frame: pd.DataFrame, about: Mapping[str, Any], origin: np.ndarray) -> list[np.ndarray]:
    blocks = []
    for name, first in zip(about["names"], origin, strict=True):
        when = pd.to_datetime(frame[name]).dt.floor("s").dt
        seconds = (frame[name].astype("datetime64[s]") - pd.Timestamp(0)).dt.total_seconds()
        parts = [
            (seconds - first) / 86400,
            when.year,
            when.month - 1,
            when.day - 1,
            when.day_of_week,
        ]
        parts.append(seconds % 86400 / 3600)
        cycles = zip(parts[2:], (12, 31, 7, 24), strict=True) if about["cyclic"] else ()
        for part, period in cycles:
            parts += [np.sin(2 * np.pi * part / period), np.cos(2 * np.pi * part / period)]
        blocks.append(np.stack(parts, axis=1).astype(float))
    return blocks


def words(
    cells: pd.Series, about: Mapping[str, Any], arrays: Mapping[str, Any], i: int
) -> tuple[np.ndarray, np.ndarray]:
    texts = [cell.lower() if isinstance(cell, str) else "" for cell in cells]
    found = [re.findall(r"\w+", text) for text in texts]
    sizes = np.log1p([[len(text), len(w)] for text, w in zip(texts, found, strict=True)])
    counts = np.array([[Counter(w)[word] for word in about["words"]] for w in found], dtype=float)
    seen = counts > 0
    tf_idf = np.where(seen, 1 + np.log(np.where(seen, counts, 1)), 0) * arrays[f"text{i}.weights"]
    length = np.sqrt((tf_idf**2).sum(axis=1, keepdims=True))
    return sizes, tf_idf / np.where(length > 0, length, 1) @ arrays[f"text{i}.directions"]


def scaled(x: np.ndarray, kind: str, arrays: Mapping[str, Any]) -> np.ndarray:
    x = np.where(np.isnan(x), arrays["numeric.fill"], x)
    table = arrays["numeric.table"]
    if kind == "piecewise":
        low, width = table[:-1], np.diff(table, axis=0)
        share = np.clip((x[:, None] - low) / np.where(width > 0, width, 1), 0, 1)
        return np.where(width > 0, share, 0).reshape(len(x), -1)
    if kind == "quantile":
        level = np.linspace(0, 1, len(table))
        up = [np.interp(c, q, level) for c, q in zip(x.T, table.T, strict=True)]
        down = [1 - np.interp(-c, -q[::-1], level) for c, q in zip(x.T, table.T, strict=True)]
        share = np.clip((np.array(up) + np.array(down)).T / 2, 1e-7, 1 - 1e-7)
        return np.vectorize(NormalDist().inv_cdf, otypes=[float])(share)
    x = x if kind == "keep" else (x - arrays["numeric.center"]) * arrays["numeric.scale"]
    return x / np.sqrt(1 + (x / 3) ** 2) if kind == "robust" else x


def chances(scores: np.ndarray) -> np.ndarray:
    """Probabilities of scores: one column is the log odds of the second class."""
    scores = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def linear(files: Mapping[str, Any], X: np.ndarray) -> np.ndarray:
    core = files["linear.npz"]
    scores = X @ core["slope"] + core["intercept"]
    return chances(scores) if core["classifies"] else scores


def mlp(files: Mapping[str, Any], X: np.ndarray) -> np.ndarray:
    about, core = files["layers.json"], files["layers.npz"]
    act = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[about["activation"]]
    x = X.astype(np.float32)
    for i in range(about["layers"]):
        x = (act(x) if i else x) @ core[f"weight{i}"] + core[f"bias{i}"]
    x = x.astype(float)
    return chances(x) if about["seen"] else x * about["scale"] + about["center"]


def forest(files: Mapping[str, Any], X: np.ndarray) -> np.ndarray:
    core, rows = files["trees.npz"], X.astype(np.float32)
    nodes, starts = core["nodes"], np.cumsum(core["sizes"]) - core["sizes"]
    total = np.zeros((len(X), core["values"].shape[1]))
    for start in starts:
        for i, row in enumerate(rows):
            at = start
            while nodes["left_child"][at] != -1:
                value = row[nodes["feature"][at]]
                left = value <= nodes["threshold"][at]
                left = nodes["missing_go_to_left"][at] if np.isnan(value) else left
                at = start + nodes["left_child" if left else "right_child"][at]
            total[i] += core["values"][at]
    return total / len(starts)


def knn(files: Mapping[str, Any], X: np.ndarray) -> np.ndarray:
    about, core = files["memory.json"], files["memory.npz"]
    known, y, p = core["matrix"].astype(float), core["y"], about["p"]
    apart = np.abs(X.astype(np.float32).astype(float)[:, None] - known) ** p
    apart = apart.sum(axis=2) ** (1 / p)
    near = np.argsort(apart, axis=1, kind="stable")[:, : about["k"]]
    distance = np.take_along_axis(apart, near, axis=1)
    same = distance == 0
    weight = np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1, distance))
    weight = np.ones_like(weight) if about["weights"] == "uniform" else weight
    weight = weight / weight.sum(axis=1, keepdims=True)
    if not about["seen"]:
        return (weight * y[near]).sum(axis=1)
    return np.stack([(weight * (y[near] == c)).sum(axis=1) for c in range(about["seen"])], axis=1)


def svm(files: Mapping[str, Any], X: np.ndarray) -> np.ndarray:
    core, after = files["svm.skops"], files["calibration.npz"]
    square = ((X[:, None] - core["support_vectors"]) ** 2).sum(axis=2)
    kernel = np.exp(-core["gamma"] * square)
    if len(core["counts"]) > 2:
        scores = against_the_rest(kernel, core)
    else:
        scores = kernel @ core["weights"].T + core["intercept"]
    scores = scores @ after["slope"] + after["shift"]
    return chances(scores) if files["model.json"]["classes"] else scores


def against_the_rest(kernel: np.ndarray, core: Mapping[str, Any]) -> np.ndarray:
    """Votes of all pairs, ties broken by the sums of their scores."""
    counts = core["counts"]
    ends = np.cumsum(counts)
    part = [slice(end - n, end) for n, end in zip(counts, ends, strict=True)]
    votes, sums = np.zeros((2, len(kernel), len(counts)))
    pairs = [(i, j) for i in range(len(counts)) for j in range(i + 1, len(counts))]
    for (i, j), shift in zip(pairs, core["intercept"], strict=True):
        score = kernel[:, part[i]] @ core["weights"][j - 1, part[i]]
        score = score + kernel[:, part[j]] @ core["weights"][i, part[j]] + shift
        votes[:, i] += score > 0
        votes[:, j] += score <= 0
        sums[:, i] += score
        sums[:, j] -= score
    return votes + sums / (3 * (np.abs(sums) + 1))


def lightgbm(files: Mapping[str, Any], X: np.ndarray) -> np.ndarray:
    core, seen = files["booster.txt"], files["booster.json"]["seen"]
    width = core["num_tree_per_iteration"]
    scores = np.zeros((len(X), width))
    for number, tree in enumerate(core["tree_info"]):
        for i, row in enumerate(X):
            scores[i, number % width] += leaf(tree["tree_structure"], row)
    return chances(scores) if seen else scores


def leaf(node: Mapping[str, Any], row: np.ndarray) -> float:
    while "leaf_value" not in node:
        value = row[node["split_feature"]]
        if node["decision_type"] == "==":
            left = not np.isnan(value) and str(int(value)) in node["threshold"].split("||")
        elif np.isnan(value) and node["missing_type"] == "NaN":
            left = node["default_left"]
        else:
            left = np.nan_to_num(value) <= node["threshold"]
        node = node["left_child" if left else "right_child"]
    return float(node["leaf_value"])


CORES: dict[str, Callable[[Mapping[str, Any], np.ndarray], np.ndarray]] = {
    "linear": linear,
    "lightgbm": lightgbm,
    "random_forest": forest,
    "extra_trees": forest,
    "knn": knn,
    "svm": svm,
    "mlp": mlp,
}
