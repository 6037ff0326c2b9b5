//! `presence-router graph`: a picture of who sees whom, for Graphviz or Mermaid.

use std::fmt::Write as _;
use std::process::ExitCode;

use presence_router_engine::policy::analyse::graph::{Arrow, PolicyGraph, graph as graph_of};
use presence_router_engine::policy::wording::count;

use crate::cli::{Graph, GraphFormat};
use crate::{CANNOT_RUN, check, fail, printed};

pub(crate) fn graph(Graph { policy, limit, format, arrows }: &Graph) -> ExitCode {
    let policy = match check::load(policy, *limit) {
        Ok(policy) => policy,
        Err(why) => return fail(CANNOT_RUN, why),
    };
    let picture = graph_of(&policy, *arrows);
    printed(&match format {
        GraphFormat::Dot => dot(&picture),
        GraphFormat::Mermaid => mermaid(&picture),
    })
}

/// The sets that an arrow begins or ends at, by place.
fn drawn(picture: &PolicyGraph) -> impl Iterator<Item = (usize, &String)> {
    let ends = |place: usize| {
        picture.arrows.iter().any(|arrow| arrow.senders == place || arrow.recipients == place)
    };
    (0..).zip(&picture.sets).filter(move |(place, _)| ends(*place))
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
    for (place, set) in drawn(picture) {
        let _ = writeln!(text, "  s{place} [label={}];", quoted(set));
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
    for (place, set) in drawn(picture) {
        let _ = writeln!(text, "  s{place}[{}]", quoted(set));
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
