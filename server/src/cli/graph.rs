//! `presence-router graph`: a picture of who sees whom, for Graphviz or Mermaid.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use presence_router_engine::unstable::policy::analyse::graph::{self, Arrow, PolicyGraph};
use presence_router_engine::unstable::policy::wording::count;

use super::args::MembersLimit;
use super::output::{Failure, Outcome, print};
use super::policy_input::load_policy;

/// What to draw.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The policy file, or `-` for standard input; groups of the directory are empty
    pub(crate) policy: PathBuf,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,

    /// For what to draw it
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,

    /// Most arrows to draw; those of fewer pairs are left out, but no `open` ones
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) arrows: usize,
}

/// What draws a picture.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
}

pub(super) fn graph(GraphArgs { policy, limit, format, arrows }: &GraphArgs) -> Outcome {
    let policy = load_policy(policy, *limit).map_err(Failure::cannot_run)?;
    let picture = graph::graph(&policy, *arrows);
    print(&match format {
        GraphFormat::Dot => dot(&picture),
        GraphFormat::Mermaid => mermaid(&picture),
    })
}

/// The sets that an arrow begins or ends at, by index.
fn drawn_sets(picture: &PolicyGraph) -> impl Iterator<Item = (usize, &String)> {
    let ends = |index: usize| {
        picture.arrows.iter().any(|arrow| arrow.senders == index || arrow.recipients == index)
    };
    (0..).zip(&picture.sets).filter(move |(index, _)| ends(*index))
}

fn label(arrow: &Arrow) -> String {
    match arrow.pairs {
        None => "?".to_owned(),
        Some(pairs) if pairs.open && pairs.named == 0 => "open".to_owned(),
        Some(pairs) if pairs.open => format!("{} and open", pairs.named),
        Some(pairs) => pairs.named.to_string(),
    }
}

fn left_out(picture: &PolicyGraph) -> String {
    let verb = if picture.left_out == 1 { "is" } else { "are" };
    format!("{} of fewer pairs {verb} left out", count(picture.left_out, "arrow"))
}

fn dot(picture: &PolicyGraph) -> String {
    // Beside its own escapes, Graphviz reads those of HTML.
    let quoted = |text: &str| {
        let text = text.replace('&', "&amp;").replace('\\', "\\\\");
        format!("\"{}\"", text.replace('"', "\\\""))
    };
    let mut text = "digraph presence {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    // Writing to a string never fails.
    for (index, set) in drawn_sets(picture) {
        let _ = writeln!(text, "  s{index} [label={}];", quoted(set));
    }
    for arrow in &picture.arrows {
        let Arrow { senders, recipients, .. } = arrow;
        let _ = writeln!(text, "  s{senders} -> s{recipients} [label={}];", quoted(&label(arrow)));
    }
    if picture.left_out > 0 {
        let _ = writeln!(text, "  label={};", quoted(&left_out(picture)));
    }
    text.push_str("}\n");
    text
}

fn mermaid(picture: &PolicyGraph) -> String {
    // In quotes nothing means anything but these. A `\n` is a line break.
    let quoted = |text: &str| {
        let text = text.replace('#', "#35;").replace('&', "#amp;").replace('\\', "#92;");
        let text = text.replace('"', "#quot;").replace('`', "#96;");
        format!("\"{}\"", text.replace('<', "#lt;").replace('>', "#gt;"))
    };
    let mut text = "flowchart LR\n".to_owned();
    for (index, set) in drawn_sets(picture) {
        let _ = writeln!(text, "  s{index}[{}]", quoted(set));
    }
    for arrow in &picture.arrows {
        let Arrow { senders, recipients, .. } = arrow;
        let _ = writeln!(text, "  s{senders} -->|{}| s{recipients}", quoted(&label(arrow)));
    }
    if picture.left_out > 0 {
        let _ = writeln!(text, "  %% {}", left_out(picture));
    }
    text
}
