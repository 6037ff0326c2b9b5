//! Coverage of servers by a set.

use presence_router_proto::ids::{Coverage, Region};

use super::kind::Kind;
use crate::list::server_of;

// === impl Kind ===

impl Kind {
    /// Returns the coverage of a region, of which room-mates cover `by_room_mates`: `Some` for
    /// any users, `Nobody` for users with whom no room is shared.
    pub(super) fn coverage_of(&self, region: Region<'_>, by_room_mates: Coverage) -> Coverage {
        let coverage = |set: &Self| set.coverage_of(region, by_room_mates);
        match self {
            Self::Users(users) => region.covered_by_users(users.iter().filter_map(server_of)),
            Self::Everyone => Coverage::Everybody,
            Self::Server(glob) => region.covered_by(glob),
            Self::Match(pattern) => region.covered_by_pattern(pattern),
            Self::RoomMates(_) => by_room_mates,
            Self::AnyOf(sets, _) => Coverage::of_union(sets.iter().map(coverage)),
            Self::AllOf(sets, _) => Coverage::of_intersection(sets.iter().map(coverage)),
            Self::Difference(sets, _) => coverage(&sets.0).without(coverage(&sets.1)),
        }
    }

    /// Returns the coverage by members that no list of users makes members, as `coverage_of`
    /// does. Members that a list and a room make members count, unless room-mates cover nobody.
    pub(super) fn open_coverage_of(&self, region: Region<'_>, by_room_mates: Coverage) -> Coverage {
        let coverage = |set: &Self| set.coverage_of(region, by_room_mates);
        let open_coverage = |set: &Self| set.open_coverage_of(region, by_room_mates);
        if self.depends_on_rooms()
            && by_room_mates != Coverage::Nobody
            && !matches!(self, Self::AnyOf(..))
        {
            return coverage(self);
        }
        match self {
            Self::Users(_) => Coverage::Nobody,
            Self::Everyone | Self::Server(_) | Self::Match(_) | Self::RoomMates(_) => {
                coverage(self)
            }
            Self::AnyOf(sets, _) => Coverage::of_union(sets.iter().map(open_coverage)),
            Self::AllOf(sets, _) => Coverage::of_intersection(sets.iter().map(open_coverage)),
            Self::Difference(sets, _) => open_coverage(&sets.0).without(coverage(&sets.1)),
        }
    }
}
