"""Run by the tests in a process of its own: the command line `ARGS` in the folder `FOLDER`, as `pal` does."""

import os
import sys

from pal_plugin.cli import main

os.chdir(globals()["FOLDER"])
os.environ["PAL_CACHE"] = str(globals()["CACHE"])
sys.exit(main(globals()["ARGS"]))
