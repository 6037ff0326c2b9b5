"""presence-router for Synapse: decides which users may see whose Matrix presence.

In `homeserver.yaml`, name the module `presence_router.synapse.PresenceRouterModule`.
"""
