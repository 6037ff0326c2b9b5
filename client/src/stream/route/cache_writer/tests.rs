//! Cases that depend on the order of the task's own steps.

use std::{
    pin::pin,
    sync::Mutex,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use presence_router_proto::ids::RoomCapabilities;
use tokio::{sync::oneshot, time::Instant};
use tokio_stream::Stream;

use super::*;
use crate::{ChangeEvent, stream::route::change_feed::Subscription};

const ANN: &str = "@ann:example.org";

/// A subscriber that looks into memory at the moment when it gets an event.
struct Looker {
    cache: Arc<AnswerCache>,
    /// The published revision, and whether the answer for `ANN` is stale. `None`: there is none.
    seen: Mutex<Vec<(String, Option<bool>)>>,
}

impl Wake for Looker {
    fn wake(self: Arc<Self>) {
        let found = self.cache.peek(Side::Audience, ANN);
        let stale = found.map(|found| found.is_stale());
        self.seen.lock().unwrap().push((self.cache.heard().revision.to_string(), stale));
    }
}

#[tokio::test]
async fn a_question_that_was_answered_meanwhile_is_not_asked_again() {
    let cache = Arc::new(AnswerCache::new(u64::MAX, Duration::ZERO, None));
    let mut writer = CacheWriter::new(cache.clone(), Arc::default(), None, 0);
    writer.begin_stream("r1", "", true);
    let key = Key { user: ANN.into(), side: Side::Audience };
    // The caller looked before the answer came, and its question arrives after that.
    assert!(cache.look_up(Side::Audience, ANN).is_none());
    cache.entries.insert(key.clone(), Entry::Nobody(cache.heard()));
    let (reply, answer) = oneshot::channel();
    let request = Request::new(Question::Miss(key, reply), Instant::now());
    assert!(writer.receive_miss(request).is_none());
    assert!(!writer.misses.has_questions());
    assert_eq!(*answer.await.unwrap().unwrap().exact_at.revision, *"r1");
}

#[tokio::test]
async fn memory_knows_each_change_before_its_event() {
    let cache = Arc::new(AnswerCache::new(u64::MAX, Duration::from_secs(60), None));
    let feed = Arc::<ChangeFeed>::default();
    let mut writer = CacheWriter::new(cache.clone(), feed.clone(), None, 0);
    let mut store = Store::new(0, RoomCapabilities::NONE);
    let looker = Arc::new(Looker { cache: cache.clone(), seen: Mutex::default() });
    let waker = Waker::from(looker.clone());
    let mut subscription = pin!(Subscription::new(feed, mpsc::channel(1).0));
    // What memory answered at the first event of a step, and all events.
    let mut step = |writer: &mut CacheWriter, run: &mut dyn FnMut(&mut CacheWriter)| {
        let mut cx = Context::from_waker(&waker);
        assert!(subscription.as_mut().poll_next(&mut cx).is_pending());
        run(writer);
        let mut events = Vec::new();
        while let Poll::Ready(Some(event)) = subscription.as_mut().poll_next(&mut cx) {
            events.push(event);
        }
        (looker.seen.lock().unwrap().drain(..).next().unwrap(), events)
    };
    let remember = |writer: &CacheWriter| {
        let key = Key { user: ANN.into(), side: Side::Audience };
        writer.cache.entries.insert(key, Entry::Nobody(writer.cache.heard()));
    };
    let mut change = |writer: &mut CacheWriter, revision: &str| {
        let changed = v1::Changed { revision: revision.to_owned(), ..Default::default() };
        writer.apply_change(&changed, &mut store).unwrap();
    };
    let connected = |revision: &str| ChangeEvent::Connected { revision: revision.into() };
    let reset = |revision: &str| ChangeEvent::Reset { revision: revision.into() };
    let changed = |revision: &str| {
        ChangeEvent::Changed(Changed {
            revision: revision.into(),
            gained: Vec::new(),
            lost: Vec::new(),
        })
    };
    let known = |revision: &str, is_stale| (revision.to_owned(), Some(is_stale));
    let empty = |revision: &str| (revision.to_owned(), None);
    let broken = StreamError::unreachable("away");
    let mut end = |writer: &mut CacheWriter| {
        writer.end_stream(&broken);
        writer.feed.report_disconnected(&broken.error);
    };
    let disconnected = || vec![ChangeEvent::Disconnected(broken.error.clone())];

    let first = step(&mut writer, &mut |writer| writer.begin_stream("r1", "", true));
    assert_eq!(first, (empty("r1"), vec![connected("r1")]));
    remember(&writer);
    let second = step(&mut writer, &mut |writer| change(writer, "r2"));
    assert_eq!(second, (known("r2", false), vec![changed("r2")]));
    assert_eq!(step(&mut writer, &mut end), (known("r2", true), disconnected()));
    let same = step(&mut writer, &mut |writer| writer.begin_stream("r2", "r2", true));
    assert_eq!(same, (known("r2", false), vec![connected("r2")]));
    assert_eq!(step(&mut writer, &mut end), (known("r2", true), disconnected()));

    // A stream that has to report missed changes first.
    writer.begin_stream("r3", "r2", true);
    let missed = step(&mut writer, &mut |writer| change(writer, "r3"));
    assert_eq!(missed, (known("r3", false), vec![connected("r3"), changed("r3")]));
    assert_eq!(step(&mut writer, &mut end), (known("r3", true), disconnected()));
    writer.begin_stream("r4", "r3", true);
    let unknown = step(&mut writer, &mut |writer| writer.reset("r4"));
    assert_eq!(unknown, (empty("r4"), vec![connected("r4"), reset("r4")]));
    remember(&writer);
    let again = step(&mut writer, &mut |writer| writer.reset("r5"));
    assert_eq!(again, (empty("r5"), vec![reset("r5")]));
    remember(&writer);

    // A stream that cannot resume, and one of a daemon that keeps no answers valid.
    assert_eq!(step(&mut writer, &mut end), (known("r5", true), disconnected()));
    let fresh = step(&mut writer, &mut |writer| writer.begin_stream("s1", "", true));
    assert_eq!(fresh, (empty("s1"), vec![connected("s1"), reset("s1")]));
    remember(&writer);
    assert_eq!(step(&mut writer, &mut end), (known("s1", true), disconnected()));
    let older = step(&mut writer, &mut |writer| writer.begin_stream("s2", "s1", false));
    assert_eq!(older, (empty("s2"), vec![connected("s2")]));
    let missed = step(&mut writer, &mut |writer| change(writer, "s2"));
    assert_eq!(missed, (empty("s2"), vec![changed("s2")]));
}
