"""Synapse modules of the tests that lead around the mode `exact`: by another presence router, and
by other functions in the place of those of the seal."""

from typing import Any

from synapse.module_api import ModuleApi


class OtherRouter:
    """A presence router that adds nobody."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        async def get_users_for_states(_states: Any) -> dict[str, Any]:
            return {}

        async def get_interested_users(_user_id: str) -> set[str]:
            return set()

        api.register_presence_router_callbacks(
            get_users_for_states=get_users_for_states, get_interested_users=get_interested_users
        )

    @staticmethod
    def parse_config(config: dict[str, Any]) -> dict[str, Any]:
        """Accepts anything."""
        return config


class Patch(OtherRouter):
    """Puts Synapse's own function back, as a module might that does not know of the seal."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        handler = api._hs.get_presence_handler()
        handler.get_states = type(handler).get_states.__get__(handler)


class LatePatch(OtherRouter):
    """As `Patch`, after Synapse has started."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        api._hs.get_reactor().callLater(0.5, Patch, config, api)


class Reshape(OtherRouter):
    """Changes the shape of Synapse's own functions, as a later version might."""

    def __init__(self, config: dict[str, Any], api: ModuleApi) -> None:
        async def get_states(target_user_ids: Any, requester: Any) -> Any:
            raise AssertionError

        api._hs.get_presence_handler().get_states = get_states
        api._hs.get_event_sources()
        # What the module uses and does not check.
        api._hs.get_reactor = None
