"""Copies what ships (models, sample clips, results of the study) into an installed package; see pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (
    "checkpoints/tabletop",
    "checkpoints/wide",
    "assets/samples",
    "assets/stage",
    "results/tabletop/study",
    "results/tabletop/methods",
    "results/tabletop/static_bias.json",
    "results/tabletop/static_bias.webp",
    "results/tabletop/wider_world.json",
)


class BuildWithShipped(build_py):
    """Adds SHIPPED below ezclip/shipped, where ``ezclip.files.shipped`` looks first."""

    def run(self) -> None:
        """Build, then copy; an editable install reads the repository itself."""
        super().run()
        if self.editable_mode:
            return
        for name in SHIPPED:
            source, target = Path(__file__).parent / name, Path(self.build_lib) / "ezclip" / "shipped" / name
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)


setup(cmdclass={"build_py": BuildWithShipped})
