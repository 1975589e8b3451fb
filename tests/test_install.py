"""The plugin is found however the package was installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
WHERE = "import twisted.plugins.ttagw_plugin as plugin; print(plugin.__file__)"


def run(*command: str, cwd: Path, path: Path | None = None) -> str:
    environ = {**os.environ, "PYTHONPATH": str(path)} if path else dict(os.environ)
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_twistd_lists_the_gateway_after_an_ordinary_install(tmp_path: Path) -> None:
    source = tmp_path / "source"
    run("git", "clone", "-q", "--depth=1", f"file://{ROOT}", str(source), cwd=tmp_path)
    target = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--target", str(target), str(source), cwd=tmp_path)
    assert not (target / "twisted" / "__init__.py").exists()
    assert not (target / "twisted" / "plugins" / "__init__.py").exists()
    found = run(sys.executable, "-c", WHERE, cwd=tmp_path, path=target).strip()
    assert Path(found).is_relative_to(target)
    twistd = Path(sys.executable).with_name("twistd")
    assert "  ttagw  " in run(str(twistd), "--help", cwd=tmp_path, path=target)


def test_twistd_lists_the_gateway_after_an_editable_install(tmp_path: Path) -> None:
    found = run(sys.executable, "-c", WHERE, cwd=tmp_path).strip()
    assert Path(found).is_relative_to(ROOT)
    twistd = Path(sys.executable).with_name("twistd")
    assert "  ttagw  " in run(str(twistd), "--help", cwd=tmp_path)
