"""Puts together what decides where presence goes in one process: local users to wake, and other
servers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from synapse.module_api import ModuleApi

from .askers import Askers
from .audiences import AskRecipients, Audiences
from .listings import Listings
from .local_recipients import LocalRecipients
from .room_views import RoomViews
from .rooms import Rooms
from .sends import Sends
from .server_views import ServerViews
from .servers import Servers
from .services import Services
from .snapshots import JoinSnapshots
from .wake import Wake

if TYPE_CHECKING:
    from .._native import Router


class Routing:
    """The parts of one process."""

    def __init__(
        self,
        api: ModuleApi,
        reactor: Any,
        router: "Router",
        ask: AskRecipients,
        rooms: Rooms,
        askers: Askers,
        services: Services,
        rooms_when_away: bool,
        decides_alone: bool,
        count_unsent: Callable[[int], None],
    ) -> None:
        """`decides_alone`: true with `federation: exact`."""
        hs = api._hs
        own_server = api.server_name
        audiences = Audiences(router, ask)
        views = RoomViews(reactor, rooms, own_server, services.own)
        listings = Listings(reactor, rooms, own_server, services.own)
        local = LocalRecipients(reactor, askers, rooms, services, listings)
        servers = Servers(reactor, router, rooms, listings, rooms_when_away, decides_alone)
        self.wake = Wake(
            hs,
            reactor,
            router,
            audiences,
            views,
            local,
            listings,
            servers,
            rooms_when_away,
            count_unsent,
        )
        self.sends = Sends(hs, reactor, audiences, views, servers)
        # Without `federation: exact`, Synapse sends them.
        self.snapshots = JoinSnapshots(api, hs, self.sends) if decides_alone else None
        self.server_views: ServerViews | None = None
        if decides_alone and hs.should_send_federation():
            self.server_views = ServerViews(reactor, hs, audiences, views, servers)
            servers.on_decision = self.server_views.note
