"""Let Hydra find our configs from any folder.

Hydra imports every module of the namespace package `hydra_plugins` each time it starts, so nothing heavy may be
imported here. There must be no `hydra_plugins/__init__.py`: it would hide the plugins of other distributions.
"""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from pal_plugin.profiles import register_resolver

register_resolver()


class PalSearchPathPlugin(SearchPathPlugin):
    """Append `pkg://pal_plugin.conf`: last, so that a user's own file of the same name wins."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append our configs to Hydra's search path.

        Args:
            search_path: the path that Hydra is building, changed in place.
        """
        search_path.append(provider="pal_plugin", path="pkg://pal_plugin.conf")
