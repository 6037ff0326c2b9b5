//! Large requests take turns, and small ones do not wait for them.

use std::convert::Infallible;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Code;

use super::*;

/// A request that a test sends frame by frame.
struct SentBody(mpsc::UnboundedReceiver<Bytes>);

type Frames = mpsc::UnboundedSender<Bytes>;
type Answer = JoinHandle<Result<Vec<u8>, Status>>;

impl http_body::Body for SentBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// Answers with the request, once it is complete.
async fn echo(request: http::Request<Body>) -> Result<http::Response<Body>, Infallible> {
    let mut first = VecDeque::new();
    let mut body = request.into_body();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame {
            Ok(frame) => first.push_back(frame),
            Err(status) => return Ok(status.into_http()),
        }
    }
    let body = ResumedBody { first, rest: Body::empty(), overdue: None };
    Ok(http::Response::new(Body::new(body)))
}

/// Calls with a request whose frames are yet to be sent.
fn call(layer: &LargeRequestLayer) -> (Frames, Answer) {
    let (frames, sent) = mpsc::unbounded_channel();
    let request = http::Request::new(Body::new(SentBody(sent)));
    let answer = layer.layer(tower::service_fn(echo)).call(request);
    let answer = tokio::spawn(async move {
        let response = answer.await.unwrap();
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Err(status);
        }
        let mut body = response.into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            bytes.extend(frame?.into_data().unwrap());
        }
        Ok(bytes)
    });
    (frames, answer)
}

fn send(frames: &Frames, bytes: &[u8]) {
    frames.send(Bytes::copy_from_slice(bytes)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_large_request_at_a_time_and_any_number_of_small_ones() {
    let layer = LargeRequestLayer::new(4);
    let (first, first_answer) = call(&layer);
    send(&first, &[0, 0, 0, 0, 5, b'a']);
    tokio::task::yield_now().await;

    let (second, second_answer) = call(&layer);
    // The prefix may come in parts.
    send(&second, &[0, 0, 0]);
    send(&second, &[0, 5, b'b', b'b', b'b', b'b', b'b']);
    drop(second);
    let (small, small_answer) = call(&layer);
    send(&small, &[0, 0, 0, 0, 4, b'c', b'c', b'c', b'c']);
    drop(small);
    assert_eq!(small_answer.await.unwrap().unwrap(), b"\0\0\0\0\x04cccc");
    assert!(!second_answer.is_finished());

    send(&first, b"aaaa");
    drop(first);
    assert_eq!(first_answer.await.unwrap().unwrap(), b"\0\0\0\0\x05aaaaa");
    assert_eq!(second_answer.await.unwrap().unwrap(), b"\0\0\0\0\x05bbbbb");
}

#[tokio::test(start_paused = true)]
async fn one_that_stalls_ends_and_the_next_has_its_turn() {
    let layer = LargeRequestLayer::new(4);
    let (stalled, stalled_answer) = call(&layer);
    send(&stalled, &[0, 0, 0, 0, 5, b'a']);
    tokio::task::yield_now().await;
    tokio::time::advance(MAX_RECEIVE_TIME / 2).await;
    let (next, next_answer) = call(&layer);
    send(&next, &[0, 0, 0, 0, 5, b'b', b'b', b'b', b'b', b'b']);
    drop(next);
    let refused = stalled_answer.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded);
    assert_eq!(next_answer.await.unwrap().unwrap(), b"\0\0\0\0\x05bbbbb");
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_away_gives_its_turn_back() {
    let layer = LargeRequestLayer::new(4);
    let (gone, answer) = call(&layer);
    send(&gone, &[0, 0, 0, 0, 5, b'a']);
    tokio::task::yield_now().await;
    answer.abort();
    let (next, next_answer) = call(&layer);
    send(&next, &[0, 0, 0, 0, 5, b'b', b'b', b'b', b'b', b'b']);
    drop(next);
    assert_eq!(next_answer.await.unwrap().unwrap(), b"\0\0\0\0\x05bbbbb");
}

#[tokio::test]
async fn what_has_no_length_is_for_the_service_to_refuse() {
    let layer = LargeRequestLayer::new(4);
    let (frames, answer) = call(&layer);
    send(&frames, &[0, 0]);
    drop(frames);
    assert_eq!(answer.await.unwrap().unwrap(), b"\0\0");
}
