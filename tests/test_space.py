"""What a Hugging Face Space reads: the README's front matter and the attributes of large files."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import yaml
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
