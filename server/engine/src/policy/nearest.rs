//! Finds the name that an author probably means, for the *did you mean* of problems.
//!
//! Knows texts only.

/// Searches for similar names, with a bounded effort: a policy with a million wrong names
/// gets a million messages, but not a million searches.
#[derive(Debug)]
pub(super) struct Nearest {
    comparisons_left: usize,
}

// === impl Nearest ===

impl Default for Nearest {
    fn default() -> Self {
        Self { comparisons_left: 1_000_000 }
    }
}

impl Nearest {
    /// Returns the nearest name, if it is near enough to explain a slip of the fingers.
    pub(super) fn find<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let length = wrong.chars().count();
        let most = (length / 3).clamp(1, 3);
        let mut nearest: Option<(usize, &str)> = None;
        for name in names {
            // A comparison costs the product of both lengths.
            if name.len() > 128 || name.chars().count().abs_diff(length) > most {
                continue;
            }
            let Some(left) = self.comparisons_left.checked_sub(1) else { break };
            self.comparisons_left = left;
            let distance = strsim::osa_distance(wrong, name);
            if distance <= most && nearest.is_none_or(|(least, _)| distance < least) {
                nearest = Some((distance, name));
            }
        }
        nearest.map(|(_, name)| name)
    }
}
