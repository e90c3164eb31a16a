"""Importing the plugin reaches no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Every module, with what was missing and which events of sockets there were meanwhile.
IMPORT = """
import importlib, json, pkgutil, sys
module, missing, events = "pal_plugin", {}, []
def hook(event, given):
    # urllib3 binds ::1 to see whether there is IPv6, and closes it again
    if event.startswith("socket.") and event != "socket.__new__" and given[1:] != (("::1", 0),):
        events.append([module, event, repr(given)])
sys.addaudithook(hook)
import pal_plugin, hydra_plugins
found = [
    found.name
    for package in (pal_plugin, hydra_plugins)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]
for module in found:
    try:
        importlib.import_module(module)
    except ImportError as error:
        missing[module] = error.name
module = "control"
import socket
socket.getaddrinfo("127.0.0.1", 9)
print(json.dumps([found, missing, events]))
"""
EXTRAS = {
    "h5py",
    "pyarrow",
    "psycopg",
    "pynndescent",
    "cuvs",
    "cupy",
    "ray",
    "skactiveml",
    "open_clip",
    "wandb",
    "dvclive",
}


@pytest.mark.slow
def test_no_module_opens_a_connection_when_it_is_imported() -> None:
    """Nor looks up a name or listens; a module that an extra is missing for is left out."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    found, missing, events = json.loads(done.stdout.splitlines()[-1])
    assert {"pal_plugin.cli", "pal_plugin.page.serve", "pal_plugin.priors.zoo", "pal_plugin.data.fetch"} <= set(found)
    assert {name.partition(".")[0] for name in missing.values()} <= EXTRAS
    assert [event[:2] for event in events] == [["control", "socket.getaddrinfo"]], events
