//! The name that somebody may have meant: the *did you mean* of messages.
//!
//! Knows texts only.

/// Finds the name that somebody may have meant, within a bounded effort: a
/// policy of a million wrong names gets a million messages, not a million
/// searches.
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
    /// The nearest of the names, if any is near enough to be a slip of the
    /// fingers.
    pub(super) fn find<'n>(
        &mut self,
        wrong: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let length = wrong.chars().count();
        let most = (length / 3).clamp(1, 3);
        let mut nearest: Option<(usize, &str)> = None;
        for name in names {
            // Comparing costs the product of both lengths.
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
