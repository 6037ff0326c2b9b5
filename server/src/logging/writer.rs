//! The two ends of the queue: the writer that receives a line from the formatter, and the
//! thread that writes lines to standard error.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing::{Level, Metadata, warn};
use tracing_subscriber::fmt::MakeWriter;

use super::CALLS;
use super::queue::{Importance, Queue};

/// The number of bytes per write: a pipe accepts this many in one piece, so that the output
/// of another program on the same pipe cannot split a line.
const PIECE: usize = 4096;

/// The largest buffer that the thread keeps; it frees a buffer that grew larger in a burst.
const KEPT_BUFFER: usize = 64 * 1024;

/// The pause before another try to write to a non-blocking descriptor.
const RETRY: Duration = Duration::from_millis(10);

/// Makes a writer for each line.
#[derive(Debug)]
pub(super) struct LineWriters(pub(super) Arc<Queue>);

/// Receives one whole line.
#[derive(Debug)]
pub(super) struct LineWriter<'q> {
    queue: &'q Queue,
    importance: Importance,
}

/// The lines that the thread could not write.
#[derive(Debug, Default)]
struct Unwritten {
    lines: u64,
    why: String,
    /// True if the end of the last written line is missing.
    is_torn: bool,
}

/// Writes the lines of a queue for ever.
pub(super) fn write_lines(queue: &Queue, mut out: impl Write) {
    let (mut lines, mut unwritten) = (Vec::new(), Unwritten::default());
    loop {
        queue.take_lines(&mut lines);
        write_all(queue, &lines, &mut out, &mut unwritten);
        if lines.capacity() > KEPT_BUFFER {
            lines = Vec::new();
        }
    }
}

fn write_all(queue: &Queue, lines: &[u8], out: &mut impl Write, unwritten: &mut Unwritten) {
    let mut rest = lines;
    while !rest.is_empty() {
        let written = match write_piece(rest, out, unwritten.is_torn) {
            Ok(written) => written,
            Err(error) => {
                // The disk is full, or there is no reader: this thread can only count the lines.
                let lost = rest.iter().filter(|byte| **byte == b'\n').count();
                unwritten.lines += u64::try_from(lost).unwrap_or(u64::MAX);
                unwritten.why = error.to_string();
                unwritten.is_torn |= rest.len() < lines.len() && !ends_line(lines, rest.len());
                queue.finish_bytes(rest.len());
                return;
            }
        };
        unwritten.is_torn = false;
        rest = rest.get(written..).unwrap_or_default();
        queue.finish_bytes(written);
        if unwritten.lines > 0 {
            let Unwritten { lines, why, .. } = std::mem::take(unwritten);
            warn!(lines, why, "the daemon could not write lines of its log");
        }
        if let Some(left_out) = queue.take_left_out() {
            warn!(
                calls = left_out.droppable,
                others = left_out.kept,
                "the daemon dropped lines of its log: the reader of standard error is too slow"
            );
        }
    }
}

/// Returns true if the bytes before the last `rest` bytes end with a complete line.
fn ends_line(lines: &[u8], rest: usize) -> bool {
    let end = lines.len().checked_sub(rest + 1);
    end.and_then(|end| lines.get(end)) == Some(&b'\n')
}

/// Writes the first bytes of `rest`, as whole lines if they fit into a piece.
fn write_piece(rest: &[u8], out: &mut impl Write, is_torn: bool) -> io::Result<usize> {
    let head = rest.get(..PIECE).unwrap_or(rest);
    let end = head.iter().rposition(|byte| *byte == b'\n').map_or(head.len(), |last| last + 1);
    if is_torn {
        write_some(b"\n", out)?;
    }
    write_some(head.get(..end).unwrap_or(head), out)
}

fn write_some(bytes: &[u8], out: &mut impl Write) -> io::Result<usize> {
    loop {
        match out.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::park_timeout(RETRY);
            }
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            written => return written,
        }
    }
}

// === impl LineWriters ===

impl<'q> MakeWriter<'q> for LineWriters {
    type Writer = LineWriter<'q>;

    fn make_writer(&'q self) -> LineWriter<'q> {
        LineWriter { queue: &self.0, importance: Importance::Kept }
    }

    fn make_writer_for(&'q self, line: &Metadata<'_>) -> LineWriter<'q> {
        let is_droppable =
            *line.level() > Level::INFO || (*line.level() == Level::INFO && line.target() == CALLS);
        let importance = if is_droppable { Importance::Droppable } else { Importance::Kept };
        LineWriter { queue: &self.0, importance }
    }
}

// === impl LineWriter ===

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(self.importance, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A standard error that takes a given number of bytes at each call, or fails.
    #[derive(Default)]
    struct Script {
        answers: VecDeque<Result<usize, io::ErrorKind>>,
        written: Vec<u8>,
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.answers.pop_front().unwrap_or(Ok(usize::MAX))?;
            let taken = &bytes[..bytes.len().min(room)];
            self.written.extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the bytes that are written of these batches when the system gives these answers.
    fn written(
        batches: &[&str],
        answers: impl IntoIterator<Item = Result<usize, io::ErrorKind>>,
    ) -> String {
        let queue = Arc::new(Queue::default());
        let mut out = Script { answers: answers.into_iter().collect(), ..Script::default() };
        let log = tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);
        let log = log.with_writer(LineWriters(Arc::clone(&queue))).finish();
        tracing::subscriber::with_default(log, || {
            let (mut lines, mut unwritten) = (Vec::new(), Unwritten::default());
            let mut batches = batches.iter();
            // The last batch is a line `end`, since an empty queue would block.
            loop {
                if let Some(batch) = batches.next() {
                    queue.push(Importance::Kept, batch.as_bytes());
                } else {
                    queue.push(Importance::Kept, b"end\n");
                }
                queue.take_lines(&mut lines);
                write_all(&queue, &lines, &mut out, &mut unwritten);
                if out.written.ends_with(b"end\n") {
                    return;
                }
            }
        });
        String::from_utf8(out.written).unwrap()
    }

    #[test]
    fn a_system_that_takes_little_at_a_time_gets_all() {
        let slow = (0..20).map(|_| Ok(3));
        assert_eq!(written(&["one\ntwo\n", "three\n"], slow), "one\ntwo\nthree\nend\n");
        let busy = [io::ErrorKind::Interrupted, io::ErrorKind::WouldBlock].map(Err);
        assert_eq!(written(&["one\n"], busy), "one\nend\n");
    }

    /// The disk is full in the middle of a line and at the next write, and then has room.
    #[test]
    fn unwritten_lines_are_counted_and_split_no_later_line() {
        let full = || Err(io::ErrorKind::StorageFull);
        let log = written(&["one\ntwo\nthree\n", "four\n", "five\n"], [Ok(5), full(), full()]);
        let (lines, report) = log.split_once("five\n").unwrap();
        assert_eq!(lines, "one\nt\n");
        let want =
            " WARN the daemon could not write lines of its log lines=3 why=\"no storage space\"\n";
        assert_eq!(report, format!("{want}end\n"));
    }

    #[test]
    fn pieces_end_with_a_line_where_they_can() {
        let mut out = Script::default();
        let line = format!("{}\n", "x".repeat(999));
        let lines = line.repeat(10);
        assert_eq!(write_piece(lines.as_bytes(), &mut out, false).unwrap(), 4000);
        let long = "x".repeat(10_000);
        assert_eq!(write_piece(long.as_bytes(), &mut out, false).unwrap(), PIECE);
    }
}
