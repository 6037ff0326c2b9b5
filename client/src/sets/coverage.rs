//! Coverage of servers by a set.

use presence_router_proto::ids::{Coverage, Region};

use super::kind::Kind;
use crate::list::server_of;

/// The coverage of a region by the room-mates of a user. The set does not know them, so it takes
/// one value for each place that they have in it: members, or exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByRoomMates {
    contained: Coverage,
    excepted: Coverage,
}

// === impl ByRoomMates ===

impl ByRoomMates {
    /// Any users are room-mates.
    pub(super) const ANY: Self = Self { contained: Coverage::Some, excepted: Coverage::Some };
    /// Nobody is a room-mate.
    pub(super) const NOBODY: Self =
        Self { contained: Coverage::Nobody, excepted: Coverage::Nobody };
    /// Nobody knows who is a room-mate, and the coverage is of users who are in the set in any case.
    pub(super) const UNKNOWN_SURELY: Self =
        Self { contained: Coverage::Nobody, excepted: Coverage::Everybody };
    /// Nobody knows who is a room-mate, and the coverage is of users who may be in the set.
    pub(super) const UNKNOWN_POSSIBLY: Self = Self::UNKNOWN_SURELY.for_exceptions();

    /// Returns the coverage for the exceptions of a set: what is contained there is excepted.
    const fn for_exceptions(self) -> Self {
        Self { contained: self.excepted, excepted: self.contained }
    }
}

// === impl Kind ===

impl Kind {
    /// Returns the coverage of a region, by what room-mates cover of it.
    pub(super) fn coverage_of(&self, region: Region<'_>, room_mates: ByRoomMates) -> Coverage {
        let coverage = |set: &Self| set.coverage_of(region, room_mates);
        match self {
            Self::Users(users) => region.covered_by_users(users.iter().filter_map(server_of)),
            Self::Everyone => Coverage::Everybody,
            Self::Server(glob) => region.covered_by(glob),
            Self::Match(pattern) => region.covered_by_pattern(pattern),
            Self::RoomMates(_) => room_mates.contained,
            Self::AnyOf(sets, _) => Coverage::of_union(sets.iter().map(coverage)),
            Self::AllOf(sets, _) => Coverage::of_intersection(sets.iter().map(coverage)),
            Self::Difference(sets, _) => {
                coverage(&sets.0).without(sets.1.coverage_of(region, room_mates.for_exceptions()))
            }
        }
    }

    /// Returns the coverage by members that no list of users makes members, as `coverage_of`
    /// does. Members that a list and a room make members count if any users are room-mates.
    pub(super) fn open_coverage_of(&self, region: Region<'_>, room_mates: ByRoomMates) -> Coverage {
        let open_coverage = |set: &Self| set.open_coverage_of(region, room_mates);
        if self.depends_on_rooms()
            && room_mates == ByRoomMates::ANY
            && !matches!(self, Self::AnyOf(..))
        {
            return self.coverage_of(region, room_mates);
        }
        match self {
            Self::Users(_) => Coverage::Nobody,
            Self::Everyone | Self::Server(_) | Self::Match(_) | Self::RoomMates(_) => {
                self.coverage_of(region, room_mates)
            }
            Self::AnyOf(sets, _) => Coverage::of_union(sets.iter().map(open_coverage)),
            Self::AllOf(sets, _) => Coverage::of_intersection(sets.iter().map(open_coverage)),
            Self::Difference(sets, _) => open_coverage(&sets.0)
                .without(sets.1.coverage_of(region, room_mates.for_exceptions())),
        }
    }
}
