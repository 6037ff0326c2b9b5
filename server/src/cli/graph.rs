//! `presence-router graph`: draws the sets of users of a policy, with arrows from senders to
//! recipients, for Graphviz or Mermaid.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use presence_router_engine::Count;
use presence_router_engine::unstable::policy::analyse::graph::{self, Arrow, PolicyGraph};
use presence_router_engine::unstable::policy::wording::count;

use super::args::MembersLimit;
use super::output::{Failure, Outcome, print_text};
use super::policy_input::load_policy;

/// The policy to draw, and the form of the graph.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// The policy file; `-` reads standard input. Groups with `directory: true` are empty
    pub(crate) policy: PathBuf,

    #[command(flatten)]
    pub(crate) limit: MembersLimit,

    /// Language of the graph
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub(crate) format: GraphFormat,

    /// Maximum number of arrows. Arrows with unlisted users (`open`) are always drawn, then the
    /// arrows with the most pairs
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) arrows: usize,
}

/// The language of a graph, named after the program that draws it.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz
    Dot,
    /// Mermaid
    Mermaid,
}

pub(super) fn print_graph(GraphArgs { policy, limit, format, arrows }: &GraphArgs) -> Outcome {
    let policy = load_policy(policy, *limit).map_err(Failure::cannot_run)?;
    let graph = graph::graph(&policy, *arrows);
    print_text(&match format {
        GraphFormat::Dot => to_graphviz(&graph),
        GraphFormat::Mermaid => to_mermaid(&graph),
    })
}

/// The sets at an end of an arrow, with their indexes.
fn drawn_sets(graph: &PolicyGraph) -> impl Iterator<Item = (usize, &String)> {
    let ends = |index: usize| {
        graph.arrows.iter().any(|arrow| arrow.senders == index || arrow.recipients == index)
    };
    (0..).zip(&graph.sets).filter(move |(index, _)| ends(*index))
}

/// The label of an arrow: its number of visible pairs, `open` with unlisted users, or `?` if
/// counting takes too many steps; and the relation that its rules require.
fn arrow_label(arrow: &Arrow) -> String {
    let number = |pairs: Count| {
        let at_most = if pairs.bound && pairs.named > 0 { "at most " } else { "" };
        format!("{at_most}{}", pairs.named)
    };
    let pairs = match arrow.pairs {
        None => "?".to_owned(),
        Some(pairs) if pairs.open && pairs.named == 0 => "open".to_owned(),
        Some(pairs) if pairs.open => format!("{} and open", number(pairs)),
        Some(pairs) => number(pairs),
    };
    match &arrow.required {
        None => pairs,
        Some(relation) => format!("{pairs} if {relation}"),
    }
}

fn left_out_note(graph: &PolicyGraph) -> String {
    let verb = if graph.left_out == 1 { "is" } else { "are" };
    format!("{} with fewer pairs {verb} not drawn", count(graph.left_out, "arrow"))
}

fn to_graphviz(graph: &PolicyGraph) -> String {
    // Graphviz reads HTML escapes as well as its own.
    let quoted = |text: &str| {
        let text = text.replace('&', "&amp;").replace('\\', "\\\\");
        format!("\"{}\"", text.replace('"', "\\\""))
    };
    let mut text = "digraph presence {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    // Writing to a string never fails.
    for (index, set) in drawn_sets(graph) {
        let _ = writeln!(text, "  s{index} [label={}];", quoted(set));
    }
    for arrow in &graph.arrows {
        let Arrow { senders, recipients, .. } = arrow;
        let _ = writeln!(
            text,
            "  s{senders} -> s{recipients} [label={}];",
            quoted(&arrow_label(arrow))
        );
    }
    if graph.left_out > 0 {
        let _ = writeln!(text, "  label={};", quoted(&left_out_note(graph)));
    }
    text.push_str("}\n");
    text
}

fn to_mermaid(graph: &PolicyGraph) -> String {
    // Only these characters have a meaning in quotes; `\n` is a line break.
    let quoted = |text: &str| {
        let text = text.replace('#', "#35;").replace('&', "#amp;").replace('\\', "#92;");
        let text = text.replace('"', "#quot;").replace('`', "#96;");
        format!("\"{}\"", text.replace('<', "#lt;").replace('>', "#gt;"))
    };
    let mut text = "flowchart LR\n".to_owned();
    for (index, set) in drawn_sets(graph) {
        let _ = writeln!(text, "  s{index}[{}]", quoted(set));
    }
    for arrow in &graph.arrows {
        let Arrow { senders, recipients, .. } = arrow;
        let _ = writeln!(text, "  s{senders} -->|{}| s{recipients}", quoted(&arrow_label(arrow)));
    }
    if graph.left_out > 0 {
        let _ = writeln!(text, "  %% {}", left_out_note(graph));
    }
    text
}
