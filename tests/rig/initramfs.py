"""The root of a small Linux guest: busybox, some kernel modules, an init script."""

import gzip
import shutil
import subprocess
import tempfile
from pathlib import Path


def build(path, init, modules, files=None):
    """Writes a gzipped cpio archive for the kernel; /modules holds `modules`, and `files` are {path inside: file}."""
    root = Path(tempfile.mkdtemp(prefix="sluice-guest-root-"))
    try:
        (root / "bin").mkdir()
        (root / "modules").mkdir()
        shutil.copy("/usr/bin/busybox" if Path("/usr/bin/busybox").exists() else "/bin/busybox", root / "bin/busybox")
        for module in modules:
            shutil.copy(module, root / "modules" / module.name)
        for inside, file in (files or {}).items():
            (root / inside.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / inside.lstrip("/"))
        (root / "init").write_text(init)
        (root / "init").chmod(0o755)
        names = "\n".join(str(entry.relative_to(root)) for entry in sorted(root.rglob("*")))
        archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=names.encode(),
                                 capture_output=True, check=True).stdout
        path.write_bytes(gzip.compress(archive, 1))
    finally:
        shutil.rmtree(root)
