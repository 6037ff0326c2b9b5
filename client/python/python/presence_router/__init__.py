"""presence-router for Synapse: who may see whose Matrix presence.

The module to name in `homeserver.yaml` is
`presence_router.synapse.PresenceRouterModule`.
"""
