"""Runs mypy in a rendered project's folder and environment: `python typed.py CACHE`.

The plugin of django-stubs gives up the whole cache where INSTALLED_APPS differ, also of typeshed
and of the stubs, which is most of the work. Here those are kept; the project is read anew, and with
it Django's own models, which the plugin gives the names of what points at them.
"""

import shutil
import sys
from pathlib import Path

from mypy.main import main
from mypy_django_plugin.main import NewSemanalDjangoPlugin


def forget_the_project(cache: Path) -> None:
    """Delete what the cache has of modules that stand in this folder."""
    names = {path.stem for path in Path().iterdir() if not path.name.startswith(".")}
    for path in [*cache.glob("3.*/*"), *cache.glob("3.*/django/contrib")]:
        if path.name.split(".")[0] in {*names, "contrib"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


if __name__ == "__main__":
    forget_the_project(Path(sys.argv[1]))
    NewSemanalDjangoPlugin.report_config_data = lambda *_: {}
    # As a database the cache would have no files to delete.
    main(args=["--no-sqlite-cache", "--cache-dir", sys.argv[1], "."], clean_exit=True)
