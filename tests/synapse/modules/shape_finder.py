"""A Synapse module of the tests. It writes down where this Synapse is not as `local: exact` and
`federation: exact` expect it, and ends Synapse."""

import json
import os
from pathlib import Path
from typing import Any

from presence_router.exact.shapes import find_deviations
from synapse.module_api import ModuleApi


class ShapeFinder:
    """Looks at Synapse's objects when the module would."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        found = {
            "local": find_deviations(api._hs, with_federation=False),
            "federation": find_deviations(api._hs, with_federation=True),
        }
        Path(config["found"]).write_text(json.dumps(found))
        os._exit(0)

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        """Accepts anything."""
        return config
