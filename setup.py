"""Copies what ships (models, sample clips, results of the study) into an installed package; see pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = (
    "checkpoints/tabletop",
    "assets/samples",
    "assets/stage",
    "results/tabletop/study",
    "results/tabletop/methods",
)


class BuildWithShipped(build_py):
    """Adds SHIPPED below ezclip/shipped, where ``ezclip.files.shipped`` looks first."""

    def run(self) -> None:
        """Build, then copy; an editable install reads the repository itself."""
        super().run()
        if self.editable_mode:
            return
        for folder in SHIPPED:
            target = Path(self.build_lib) / "ezclip" / "shipped" / folder
            shutil.copytree(Path(__file__).parent / folder, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithShipped})
