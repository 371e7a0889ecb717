"""What a Hugging Face Space reads: the README's front matter and the attributes of large files."""

import os
import re
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

ROOT = Path(__file__).parents[1]


def test_front_matter() -> None:
    found = re.match(r"---\n(.*?)\n---\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    settings = yaml.safe_load(found[1])
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


def test_zero_gpu_lends_its_gpu(tmp_path: Path) -> None:
    """With the package ``spaces`` at hand, functions go through it; here a stand-in of it that marks them."""
    (tmp_path / "spaces.py").write_text("def GPU(function):\n    return lambda *a: ('on a GPU', function(*a))\n")
    code = "from app.zero_gpu import on_gpu; print(on_gpu(len)('abc'))"
    for folder, told in ((tmp_path, "('on a GPU', 3)"), (tmp_path / "none", "3")):
        path = os.pathsep.join([str(folder), str(ROOT)])
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True)
        assert done.stdout.decode().strip() == told, done.stderr


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_server_listens_where_it_is_told_and_calls_nobody(tmp_path: Path) -> None:
    """GRADIO_SERVER_NAME and GRADIO_SERVER_PORT, and every address that the process asks for while it works."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = tmp_path / "hosts"
    script = tmp_path / "watched.py"
    script.write_text(SERVER)
    where = {"GRADIO_SERVER_NAME": "127.0.0.2", "GRADIO_SERVER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen([sys.executable, script, hosts], cwd=ROOT, env=os.environ | where)
    try:
        client = None
        deadline = time.monotonic() + 60
        while client is None and time.monotonic() < deadline:
            time.sleep(0.5)
            with suppress(OSError, ValueError, httpx.HTTPError):
                client = Client(f"http://127.0.0.2:{port}", verbose=False)
        assert client is not None
        clip = handle_file(ROOT / "assets" / "samples" / "01_pushing_left_to_right.mp4")
        answer = client.predict(clip, "pushing, pulling", api_name="/predict")
        assert len(answer["predictions"]) == 2
    finally:
        server.terminate()
        server.wait(timeout=15)
    called = set(hosts.read_text().split()) if hosts.exists() else set()
    assert called <= {"127.0.0.1", "127.0.0.2", "localhost", "None"}, called
