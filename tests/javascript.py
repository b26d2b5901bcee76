"""Run JavaScript for a test: in Node where it is installed, else in Chromium, else skip. Numbers cross to the last bit."""

import base64
import json
import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browsing import chromium, running

# JSON has no NaN, no infinity and, in JavaScript, no negative zero: they cross as {"$": "NaN"}, arrays as their bytes.
CROSSING = """
const take = (value) => {
    if (Array.isArray(value)) { return value.map(take); }
    if (value === null || typeof value !== "object") { return value; }
    if ("$" in value) { return Number(value.$); }
    if ("$array" in value) {
        return new Float64Array(Uint8Array.from(atob(value.$array), (letter) => letter.charCodeAt(0)).buffer);
    }
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, take(part)]));
};
const give = (value) => {
    if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) {
        return {$: Object.is(value, -0) ? "-0" : String(value)};
    }
    if (ArrayBuffer.isView(value)) {
        const bytes = new Uint8Array(Float64Array.from(value).buffer);
        let letters = "";
        for (const byte of bytes) { letters += String.fromCharCode(byte); }
        return {$array: btoa(letters)};
    }
    if (Array.isArray(value)) { return value.map(give); }
    if (value === null || typeof value !== "object") { return value; }
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, give(part)]));
};
"""


def run_js(script: str, data: Any = None) -> Any:
    """Run a script that is a function's body, with `data`, and return what it returns.

    Typed arrays come back as arrays of floats; NaN, infinities and negative zeros as themselves.
    """
    text = (
        f"{CROSSING}\nconst answer = ((data) => {{\n{script}\n}})(take({json.dumps(_given(data), allow_nan=False)}));\n"
        "const answered = JSON.stringify(give(answer === undefined ? null : answer));\n"
    )
    if shutil.which("node"):
        return _taken(json.loads(_in_node(text)))
    if chromium() is None:
        pytest.skip("neither Node nor Chromium is installed, so no JavaScript can run")
    return _taken(json.loads(_in_chromium(text)))


def _in_node(text: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "script.js"
        file.write_text(f'"use strict";\n{text}process.stdout.write(answered);', "utf-8")
        done = subprocess.run(["node", str(file)], capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _in_chromium(text: str) -> str:
    page = running().new_page()
    try:
        found: str = page.evaluate(f'() => {{\n"use strict";\n{text}return answered;\n}}')
    finally:
        page.close()
    return found


def _given(value: Any) -> Any:
    """Write a value as JSON that `take` reads."""
    if isinstance(value, np.ndarray):
        return {"$array": base64.b64encode(np.ascontiguousarray(value, "<f8").tobytes()).decode()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, dict):
        return {key: _given(part) for key, part in value.items()}
    return [_given(part) for part in value] if isinstance(value, list | tuple) else value


def _taken(value: Any) -> Any:
    """Read what `give` wrote."""
    if isinstance(value, dict) and value.keys() == {"$"}:
        return float(value["$"].replace("Infinity", "inf"))
    if isinstance(value, dict) and value.keys() == {"$array"}:
        return np.frombuffer(base64.b64decode(value["$array"]), "<f8").copy()
    if isinstance(value, dict):
        return {key: _taken(part) for key, part in value.items()}
    return [_taken(part) for part in value] if isinstance(value, list) else value
