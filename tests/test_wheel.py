"""Tests that an installed wheel works in an empty folder, without the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_wheel_contains_configurations_networks_and_templates(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("uap-*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    assert (installed / "uap" / "py.typed").exists()

    program = (
        "from uap.configuration.composition import read_settings\n"
        "from uap.utils import paths\n"
        "from uap.victims.weights import read_state_dict\n"
        "assert paths.PACKAGE.is_relative_to(__import__('sys').argv[1]), paths.PACKAGE\n"
        "config = paths.shipped('configs/streetscenes_static.yaml')\n"
        "assert config.is_relative_to(paths.PACKAGE)\n"
        "assert read_settings(config)['data']['class_path'] == 'uap.data.StreetScenes'\n"
        "assert read_state_dict(paths.find('checkpoints/espnet_streetscenes.safetensors'))\n"
        "paths.Path('run').mkdir()\n"
        "paths.Path('run/metrics.json').write_text('{}')\n"
        "from uap import report\n"
        "assert '</html>' in report.main(['run']).read_text()\n"
    )
    (tmp_path / "empty").mkdir()
    run = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, sys.argv[1])\n{program}", str(installed)]
    subprocess.run(run, check=True, cwd=tmp_path / "empty")
