"""What a Hugging Face Space reads: the README's front matter and the attributes of large files."""

import asyncio
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
import yaml
from gradio_client import Client, handle_file
from packaging.requirements import Requirement
from packaging.version import Version

from ezclip.studies import STUDIES

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "assets" / "samples" / "01_pushing_left_to_right.mp4"


def test_front_matter() -> None:
    front_matter = re.match(r"---\n(.*?)\n---\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert front_matter is not None
    settings = yaml.safe_load(front_matter[1])
    assert settings["sdk"] == "gradio" and (ROOT / settings["app_file"]).is_file()
    assert settings["python_version"] == "3.11" and settings["license"] == "mit"
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line.startswith("gradio")]
    offered = Version(settings["sdk_version"])
    assert Requirement(lines[0]).specifier.contains(offered)
    assert offered <= Version(version("gradio")), "the Space would run a newer Gradio than these tests"


def test_large_files_as_the_hub_wants_them() -> None:
    attributes = (ROOT / ".gitattributes").read_text()
    for suffix in ("safetensors", "mp4"):
        assert f"*.{suffix} filter=lfs diff=lfs merge=lfs -text" in attributes


def test_pictures_of_the_readme_exist() -> None:
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / picture).is_file(), picture


@pytest.mark.slow
def test_the_readmes_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code[1], names)
    assert (tmp_path / "report" / "report.html").is_file()
    assert "Pushing something from left to right" in capsys.readouterr().out


# A stand-in for the package ``spaces``: like it, it runs each call in a forked process, from which only values return.
SPACES = """
import gc, inspect, os, pickle, sys, traceback

assert "torch" not in sys.modules and "gradio" not in sys.modules, "spaces is imported first"
lent = {}  # name of a function -> it with a GPU, and its seconds

def GPU(duration):
    def decorate(function):
        def values(*arguments):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                try:
                    if os.environ.get("LOADED_BEFORE"):
                        assert any(type(one).__name__ == "EZCLIP" for one in gc.get_objects()), "no model is loaded"
                    made = function(*arguments)
                    with os.fdopen(writing, "wb") as out:
                        for value in made if inspect.isgenerator(made) else [made]:
                            pickle.dump((os.getpid(), value), out)
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(0)
            os.close(writing)
            with os.fdopen(reading, "rb") as answers:
                while answers.peek(1):
                    pid, value = pickle.load(answers)
                    assert pid == child
                    yield value
            os.waitpid(child, 0)

        def once(*arguments):
            return list(values(*arguments))[-1]

        wrapped = values if inspect.isgeneratorfunction(function) else once
        lent.setdefault(getattr(function, "func", function).__name__, (wrapped, duration))
        return wrapped
    return decorate
"""
ON_A_SPACE = """
import sys
import app.zero_gpu
import spaces
from app.main import build_app
from app.services import Services
from app.tabs.export import newest
from ezclip.studies.analysis_report import Analysis

sample = sys.argv[1]
services = Services(device="cpu")
page = build_app(services)
services.load_before_fork()

def call(name, **given):
    wrapped, _ = spaces.lent[name]
    (inputs, *_) = [block.inputs for block in page.fns.values() if getattr(block.fn, '__wrapped__', None) is wrapped]
    values = [given.get(box.elem_id or box.label, getattr(box, "value", None)) for box in inputs]
    return wrapped(*values)

answer = call("predict", clip=sample, labels="pushing, pulling")
assert {one["label"] for one in answer["predictions"]} == {"pushing", "pulling"}
*_, (status, analysis, document, *_) = call("analyse", clip=sample)
assert isinstance(analysis, Analysis), status
reads = spaces.lent["reads"][0]([document["key"], analysis.model.name, "forward", 0, 5])
assert "heat" in reads, reads
assert "text" in reads and "heat" not in spaces.lent["reads"][0](["gone", analysis.model.name, "forward", 0, 5])
*_, (turned, _) = spaces.lent["analyse_orders"][0](analysis)
assert set(turned.directions) == {"forward", "reversed", "shuffled", "static"}
*_, (_, measured, _) = spaces.lent["measure"][0](analysis, None)
assert newest(turned, measured) is measured and all(f.measured for f in measured.faithfulness)
assert not len(services._clips) and not len(services._results), "this process computed nothing"
seconds = {name: duration for name, (_, duration) in spaces.lent.items()}
assert seconds["reads"] < seconds["predict"] == seconds["analyse"] < seconds["measure"] == seconds["evaluate"]
print("all went well")
"""


@pytest.mark.slow
def test_a_zero_gpu_space_works_in_forked_processes(tmp_path: Path) -> None:
    """spaces is imported first, models are loaded before the fork, and each call finds what the previous one left."""
    (tmp_path / "spaces.py").write_text(SPACES)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "SPACES_ZERO_GPU": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", ON_A_SPACE, str(SAMPLE)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0 and "all went well" in process.stdout, process.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_app_py_serves_a_zero_gpu_space(tmp_path: Path) -> None:
    """Started like a Space: spaces is imported before torch, and the models are loaded before the first call."""
    (tmp_path / "spaces.py").write_text(SPACES)
    port = free_port()
    space = {"SPACES_ZERO_GPU": "1", "LOADED_BEFORE": "1", "GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    space["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    server = subprocess.Popen([sys.executable, "app.py", "--device", "cpu"], cwd=ROOT, env=os.environ | space)
    try:
        client = answering(f"http://127.0.0.1:{port}")
        answer = client.predict(handle_file(SAMPLE), "pushing, pulling", api_name="/predict")
        assert {one["label"] for one in answer["predictions"]} == {"pushing", "pulling"}
    finally:
        server.terminate()
        server.wait(timeout=60)


def test_elsewhere_functions_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text("raise ImportError('not wanted off ZeroGPU')")
    code = "from app.zero_gpu import on_gpu; print(on_gpu(len, 5) is len)"
    environment = {name: value for name, value in os.environ.items() if name != "SPACES_ZERO_GPU"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), str(ROOT)])
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert process.stdout.strip() == "True", process.stderr


SERVER = """
import runpy, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments
        with open(hosts, "a") as told:
            told.write(f"{address[0] if isinstance(address, tuple) else address}\\n")

sys.addaudithook(watch)
hosts = sys.argv.pop()
runpy.run_path("app.py", run_name="__main__")
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answering(url: str, seconds: float = 240) -> Client:
    """A client of the server at ``url``, once it answers."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError, ValueError, httpx.HTTPError):
            return Client(url, verbose=False)
        assert time.monotonic() < deadline, "the server does not answer"
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_server_listens_on_its_configured_address_and_calls_nobody(tmp_path: Path) -> None:
    """GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, and every address that the process contacts."""
    port = free_port()
    hosts = tmp_path / "hosts"
    script = tmp_path / "watched.py"
    script.write_text(SERVER)
    where = {"GRADIO_SERVER_NAME": "127.0.0.2", "GRADIO_SERVER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, script, hosts], cwd=ROOT, env=os.environ | where)
    try:
        client = answering(f"http://127.0.0.2:{port}")
        answer = client.predict(handle_file(SAMPLE), "pushing, pulling", api_name="/predict")
        assert len(answer["predictions"]) == 2
    finally:
        server.terminate()
        server.wait(timeout=60)
    called = set(hosts.read_text().split()) if hosts.exists() else set()
    assert called <= {"127.0.0.1", "127.0.0.2", "localhost", "None"}, called


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_studies_as_mcp_tools() -> None:
    port = free_port()
    server = subprocess.Popen([sys.executable, "app.py", "--port", str(port), "--mcp"], cwd=ROOT)
    try:
        client = answering(f"http://127.0.0.1:{port}")
        sample = client.predict(handle_file(SAMPLE), "a", api_name="/predict")
        assert sample["predictions"][0]["label"] == "a"

        async def talk() -> tuple[set[str], str]:
            from mcp import ClientSession
            from mcp.client.streamable_http import streamablehttp_client

            async with streamablehttp_client(f"http://127.0.0.1:{port}/gradio_api/mcp/") as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    tools = {tool.name for tool in (await session.list_tools()).tools}
                    name = next(tool for tool in tools if tool.endswith("predict"))
                    clip = f"data:video/mp4;base64,{base64.b64encode(SAMPLE.read_bytes()).decode()}"
                    answer = await session.call_tool(name, {"clip": clip, "labels": "pushing, pulling"})
                    return tools, answer.content[0].text  # type: ignore[union-attr]

        tools, answer = asyncio.run(talk())
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert all(any(tool.endswith(verb) for tool in tools) for verb in STUDIES), tools
    assert "pushing" in answer and "pulling" in answer


@pytest.mark.slow
def test_an_installed_wheel_works_from_any_folder(tmp_path: Path) -> None:
    """Installed without dependencies, which this environment has; the project's folder is not on the path."""
    pip = [sys.executable, "-m", "pip", "--quiet"]
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in ("app", "ezclip", "checkpoints", "assets", "results"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([*pip, "install", "--no-deps", "--no-build-isolation", "--target", site, source], check=True)
    shutil.rmtree(source)
    environment = os.environ | {"PYTHONPATH": str(site)}
    ezclip = [str(site / "bin" / "ezclip")]
    command = [*ezclip, "predict", str(SAMPLE), "--labels", "pushing, pulling", "--json"]
    process = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)["model"] == "tabletop/ezclip"
    compared = subprocess.run([*ezclip, "classes", "base", "ezclip"], cwd="/", env=environment, capture_output=True)
    assert compared.returncode == 0, compared.stderr
    port = free_port()
    server = subprocess.Popen([*ezclip, "app", "--port", str(port)], cwd="/", env=environment)
    try:
        client = answering(f"http://127.0.0.1:{port}")
        assert (
            client.predict(handle_file(SAMPLE), "pushing, pulling", api_name="/predict")["model"] == "tabletop/ezclip"
        )
        page = httpx.get(f"http://127.0.0.1:{port}/").text
        assert "01_pushing_left_to_right" in page and "Static bias" in page
    finally:
        server.terminate()
        server.wait(timeout=60)
