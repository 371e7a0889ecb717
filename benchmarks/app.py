"""Measure the app's latency, memory and disk use: python benchmarks/app.py [--random ViT-B-16] [--rounds 100].

Starts the app, runs a first analysis and a change of class names in a browser, sends requests from ten concurrent
clients, and repeats analyses. Prints one JSON document. Needs Chromium and requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import av
import numpy as np
from gradio_client import Client, handle_file
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ezclip.checkpoints.catalog import BACKBONE, BASELINE, DEFAULT  # noqa: E402
from ezclip.checkpoints.store import save_backbone, save_model  # noqa: E402
from ezclip.model.backbone import build_backbone  # noqa: E402
from ezclip.model.builders import build_ezclip  # noqa: E402

PORT = 7899
USERS = 10
LABELS = [f"doing thing number {i}" for i in range(10)]
TIMEOUT_MS = 180_000
# Milliseconds from a click on Reversed to the first frame with the predictions for reversed frames.
_REVERSE = """() => new Promise(done => { const start = performance.now();
    document.querySelector('#stage [data-direction=reversed]').click();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start))) })"""
# Frames per second while the scrubber moves with every animation frame, over two seconds.
_SCRUB = """() => new Promise(done => { const range = document.querySelector('#stage .ezs-track input');
    const start = performance.now(); let count = 0;
    const move = now => { range.value = (now - start) % 1000 / 1000; range.dispatchEvent(new Event('input'));
        count++; now - start < 2000 ? requestAnimationFrame(move) : done(1000 * count / (now - start)) };
    requestAnimationFrame(move) })"""


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--random", help="benchmark base and ezclip with random weights on this open_clip architecture")
    parser.add_argument("--rounds", type=int, default=100, help="number of consecutive analyses")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = [write_clip(Path(folder) / f"clip{i}.mp4", seed=i) for i in range(USERS)]
        cache = Path(folder) / "cache"
        cache.mkdir()
        baseline, model = random_pair(arguments.random, Path(folder)) if arguments.random else (BASELINE, DEFAULT)
        environment = os.environ | {"GRADIO_TEMP_DIR": str(cache), "TMPDIR": str(cache)}
        start = time.monotonic()
        command = [sys.executable, "app.py", "--port", str(PORT), "--model", model]
        server = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            name = f"{arguments.random}, random weights" if arguments.random else model
            results: dict[str, Any] = {"model": name, "port_answers_s": wait_for_port(start)}
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page()
                page.goto(f"http://127.0.0.1:{PORT}?{urlencode({'baseline': baseline, 'model': model})}")
                page.get_by_role("button", name="Analyse", exact=True).wait_for()
                page.locator("#stage .ezs-answer .ezs-first").last.wait_for()
                results["first_screen_s"] = since(start)
                results |= first_screen(page) | first_analysis(page, clips[0])
                results |= large_clip(page, Path(folder) / "large.mp4")
                browser.close()
            client = Client(f"http://127.0.0.1:{PORT}", verbose=False)
            results |= crowd(clips, model, baseline) | {"memory_after_crowd_mib": memory(server.pid)}
            for i in range(arguments.rounds):
                client.predict(handle_file(clips[i % USERS]), "a, b", model, baseline, api_name="/explain")
                if i in (arguments.rounds // 2 - 1, arguments.rounds - 1):
                    results[f"memory_after_{i + 1}_mib"] = memory(server.pid)
                    results[f"disk_after_{i + 1}_mib"] = disk(cache)
        finally:
            server.terminate()
            server.wait(10)
        results["disk_after_end_mib"] = disk(cache)
    document = json.dumps(results, indent=2)
    print(document)  # noqa: T201
    if arguments.out:
        arguments.out.write_text(document + "\n", "utf-8")


def random_pair(architecture: str, folder: Path) -> tuple[str, str]:
    """Save a baseline and a model that share a randomly initialised backbone; returns their folders."""
    import open_clip
    import torch

    torch.manual_seed(0)
    config = open_clip.get_model_config(architecture) or {}
    backbone = build_backbone(f"random {architecture}", config)
    save_backbone(backbone, folder / BACKBONE)
    for variant in ("base", "ezclip"):
        save_model(build_ezclip(backbone, variant, num_frames=8), backbone, folder / variant, summary={"text": "names"})
    return str(folder / "base"), str(folder / "ezclip")


def write_clip(path: Path, *, seed: int, scale: int = 8, seconds: int = 10, fps: int = 25) -> Path:
    """Write a moving texture as H.264: 640 x 360 at scale 8, 1920 x 1080 at scale 24."""
    texture = np.random.default_rng(seed).integers(0, 255, (45, 80, 3), np.uint8).repeat(scale, 0).repeat(scale, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 80 * scale, 45 * scale, "yuv420p"
        for i in range(seconds * fps):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(texture, 3 * i, axis=1), format="rgb24")))
        container.mux(stream.encode())
    return path


def wait_for_port(start: float) -> float:
    """Seconds until the app responds."""
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}", timeout=5).close()
            return since(start)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)


def first_screen(page: Page) -> dict[str, float]:
    """Page size, and on the stored sample the latency of a change of frame order and the frame rate of scrubbing."""
    size = page.evaluate(
        "performance.getEntriesByType('resource').reduce((sum, e) => sum + e.transferSize, 0)"
        " + performance.getEntriesByType('navigation')[0].transferSize"
    )
    latency = page.evaluate(_REVERSE)
    fps = page.evaluate(_SCRUB)
    results = {"page_mb": size / 1e6, "reversed_stored_ms": latency, "scrubbing_fps": fps}
    return {name: round(value, 1) for name, value in results.items()}


def first_analysis(page: Page, clip: Path) -> dict[str, float]:
    """Time from a newly dropped clip to its first overlay and to its other orders, and of a change of class names."""
    time.sleep(8)  # the models load in the background
    start = time.monotonic()
    page.locator("#clip input[type=file]").set_input_files(clip)
    state = "document.querySelector('#stage .ezs-root').stage.state"
    page.wait_for_function(f"{state}.doc.clip == {clip.name!r} && {state}.film", timeout=TIMEOUT_MS)
    results = {"first_overlay_s": since(start)}
    start = time.monotonic()
    page.locator("#stage [data-direction=reversed]").click()
    page.wait_for_function(f"{state}.doc.results.reversed", timeout=TIMEOUT_MS)
    results["reversed_own_s"] = since(start)
    page.locator("#names-box button").first.click()
    return results | {"label_change_s": analysis(page, LABELS)}


def large_clip(page: Page, path: Path) -> dict[str, float]:
    """Time from dropping ten seconds of 1920 x 1080 at 30 frames per second to the first overlay."""
    write_clip(path, seed=99, scale=24, fps=30)
    page.locator("#clip").get_by_label("Clear").click()
    start = time.monotonic()
    page.locator("#clip input[type=file]").set_input_files(path)
    state = "document.querySelector('#stage .ezs-root').stage.state"
    page.wait_for_function(f"{state}.doc.clip == {path.name!r} && {state}.film", timeout=TIMEOUT_MS)
    return {"full_hd_first_overlay_s": since(start)}


def analysis(page: Page, labels: list[str]) -> float:
    """Seconds from the click on Analyse to the ranking of the class names."""
    page.locator("#labels textarea").fill("\n".join(labels))
    page.get_by_role("button", name="Analyse", exact=True).click(trial=True)
    start = time.monotonic()
    page.get_by_role("button", name="Analyse", exact=True).click()
    page.wait_for_function(
        "label => document.querySelector('#status').innerText.includes('Done')"
        " && document.querySelector('#ranking').innerText.includes(label)",
        arg=labels[0],
        timeout=TIMEOUT_MS,
    )
    return since(start)


def crowd(clips: list[Path], model: str, baseline: str) -> dict[str, Any]:
    """Waiting times of ten concurrent clients, each with its own clip."""
    waits, ranks = [0.0] * len(clips), [0] * len(clips)

    def send(i: int) -> None:
        client = Client(f"http://127.0.0.1:{PORT}", verbose=False)
        start = time.monotonic()
        job = client.submit(handle_file(clips[i]), ",".join(LABELS), model, baseline, api_name="/explain")
        while not job.done():
            ranks[i] = max(ranks[i], job.status().rank or 0)
            time.sleep(0.05)
        job.result()
        waits[i] = since(start)

    with ThreadPoolExecutor(len(clips)) as pool:
        list(pool.map(send, range(len(clips))))
    return {"users": len(clips), "user_waits_s": sorted(waits), "highest_place_in_queue_seen": max(ranks)}


def since(start: float) -> float:
    """Elapsed seconds, to two decimals."""
    return round(time.monotonic() - start, 2)


def memory(pid: int) -> int:
    """Resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024


def disk(folder: Path) -> float:
    """Total size of the files below a folder in MiB."""
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 2**20, 1)


if __name__ == "__main__":
    main()
