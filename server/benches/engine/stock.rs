//! What a user would write instead: prost as generated, a `HashMap` from id to
//! class, a `BTreeMap` from class to states, prost again.

use std::collections::{BTreeMap, HashMap};

use presence_router_proto::v1::{Deliveries, Delivery, StateBatch};
use prost::Message;

/// Classes by user id.
pub(crate) struct Stock {
    classes: HashMap<String, u64>,
}

impl Stock {
    pub(crate) fn new(users: &[String]) -> Self {
        let classes = users.iter().enumerate().map(|(i, user)| (user.clone(), i as u64 % 2000 + 1));
        Self { classes: classes.collect() }
    }

    pub(crate) fn route(&self, bytes: &[u8], revision: &str) -> Vec<u8> {
        self.deliveries(&StateBatch::decode(bytes).unwrap(), revision).encode_to_vec()
    }

    pub(crate) fn deliveries(&self, batch: &StateBatch, revision: &str) -> Deliveries {
        let mut by_class: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for (index, state) in (0..).zip(&batch.states) {
            if let Some(class) = self.classes.get(&state.user_id) {
                by_class.entry(*class).or_default().push(index);
            }
        }
        let deliveries = by_class.into_iter().map(|(recipients_set_id, state_indexes)| Delivery {
            recipients_set_id,
            state_indexes,
            hides: Vec::new(),
        });
        Deliveries {
            batch_id: batch.batch_id,
            revision: revision.to_owned(),
            deliveries: deliveries.collect(),
        }
    }
}
