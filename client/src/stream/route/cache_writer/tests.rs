//! Cases that depend on the order of the task's own steps.

use std::time::Duration;

use tokio::{sync::oneshot, time::Instant};

use super::*;

#[tokio::test]
async fn a_question_that_was_answered_meanwhile_is_not_asked_again() {
    let cache = Arc::new(AnswerCache::new(u64::MAX, Duration::ZERO, None));
    let mut writer = CacheWriter::new(cache.clone(), None, 0);
    writer.begin_stream("r1", "");
    let key = Key { user: "@ann:example.org".into(), side: Side::Audience };
    // The caller looked before the answer came, and its question arrives after that.
    assert!(cache.look_up(Side::Audience, "@ann:example.org").is_none());
    cache.entries.insert(key.clone(), Entry::Nobody(cache.heard()));
    let (reply, answer) = oneshot::channel();
    let request = Request::new(Question::Miss(key, reply), Instant::now());
    assert!(writer.receive_miss(request).is_none());
    assert!(!writer.misses.has_questions());
    assert_eq!(*answer.await.unwrap().unwrap().exact_at.revision, *"r1");
}
