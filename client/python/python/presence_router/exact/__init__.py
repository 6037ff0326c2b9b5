"""The mode `exact`: the policy alone decides who sees whose presence, also in shared rooms.

Synapse shows every local user the answer of the module and nothing else, because the module
answers "ALL" to each of them. Reading order: `router` is what Synapse calls. `asking` knows
which user asks, `sight` decides what that user sees, and `rooms` knows the rooms that users
share and the facts about them. `wake` names the users to wake (`local_recipients`), and the
servers to send to (`servers`); `routing` puts together what it needs. `sends` decides about
presence that Synapse has queued for servers, `services` about application services. `snapshots`
sends presence to servers that join a room. `seal` closes the ways that lead around the module, and
says if they are closed: `shapes` checks Synapse before, and `guarded_reads`, `guarded_sends` and
`all_rooms` are what it puts in the place of Synapse's own.

Devices hear of changes of the policy by `bells`: `ringer` rings them, and `room_follower` has it
do so when rooms change; `rings` reads them, and `arrivals` waits for what they cover. `changes`
and `room_changes` are the logs of what changed, `views` remembers the last answers; `catch_up`
says what a device missed, with `room_history`, `concerned` which devices to wake, and
`server_views` what other servers get. `hang_bells` puts these together, and `bell_shapes` checks
Synapse before.
"""
