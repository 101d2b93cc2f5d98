"""Puts the compiled firmware into the wheel as motemo_host/firmware/ARCHITECTURE/motemo/... .

Editable installs get none: there the host compiles from the source tree.
"""

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class FirmwareHook(BuildHookInterface):
    """Compiles before the build, tidies up after it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        mpy = _load(root / "host" / "motemo_host" / "mpy.py")
        self._compiled = Path(tempfile.mkdtemp(prefix="motemo-mpy-"))
        for architecture in mpy.ARCHITECTURES:
            for name in mpy.modules(root / "firmware"):
                target = (self._compiled / architecture / name).with_suffix(".mpy")
                mpy.compile_module(root / "firmware", name, architecture, target)
        build_data["force_include"][str(self._compiled)] = "motemo_host/firmware"
        build_data["force_include"][str(root / "firmware" / "main.py")] = "motemo_host/firmware/main.py"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if version != "editable":
            shutil.rmtree(self._compiled)


def _load(path: Path) -> Any:
    """The module in `path`; its package cannot be imported before it is built."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
