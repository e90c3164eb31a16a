"""The door that solo-learn's users know: `python main_pretrain.py --config-name gps_simclr profile=debug`."""

import sys

from pal_plugin.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
