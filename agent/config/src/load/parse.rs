//! Parses YAML text into a tree with lines: first document only, aliases and merges resolved, sizes capped.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{ScanError, TScalarStyle};

use super::node::{Entry, Kind, Node, Scalar};
use crate::problem::{Problem, shown};

/// The most values of a file, and the most that its aliases may add.
pub(super) const NODES_MAX: usize = 1 << 19;
/// The most levels of maps and lists.
pub(super) const DEPTH_MAX: usize = 32;

/// A file that is YAML, with what is wrong with its keys.
pub(super) struct Parsed {
    pub(super) root: Rc<Node>,
    pub(super) problems: Vec<Problem>,
}

/// Parses the first document of a text.
pub(super) fn parse(text: &str) -> Result<Parsed, Problem> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    loop {
        let (event, marker) = parser.next_token().map_err(|error| syntax(&error, text))?;
        match event {
            Event::StreamEnd => return Err(fatal(1, "the file is empty; it needs at least siteName and crypto.key")),
            Event::DocumentEnd => break,
            event => builder.event(event, marker.line())?,
        }
    }
    // What follows is another document, which is not read, or something that is no YAML.
    parser.next_token().map_err(|error| syntax(&error, text))?;
    let root = builder.root.ok_or_else(|| fatal(1, "the file is empty; it needs at least siteName and crypto.key"))?;
    match &root.kind {
        Kind::Map(_) => Ok(Parsed { root, problems: builder.problems }),
        Kind::Scalar(Scalar { text, is_plain: true }) if text.is_empty() => {
            Err(fatal(1, "the file is empty; it needs at least siteName and crypto.key"))
        }
        _ => Err(fatal(root.line, "the file must be a map of keys, such as siteName: home")),
    }
}

fn fatal(line: usize, message: impl Into<String>) -> Problem {
    Problem::error("", message).at_line(line)
}

fn syntax(error: &ScanError, text: &str) -> Problem {
    let line = error.marker().line().clamp(1, text.lines().count().max(1));
    let has_tab = |number: usize| {
        let line = text.lines().nth(number - 1).unwrap_or_default();
        line[..line.len() - line.trim_start().len()].contains('\t')
    };
    // The parser stops at the tab or at the end of the value before it.
    match (line.saturating_sub(1).max(1)..=line + 1).find(|number| has_tab(*number)) {
        Some(tabbed) => fatal(tabbed, "the line is indented by a tab, which YAML does not allow; use blanks"),
        None => fatal(line, format!("the file is not YAML: {}", error.info())),
    }
}

/// A list or map that is not complete yet.
enum Frame {
    List { line: usize, anchor: usize, items: Vec<Rc<Node>> },
    Map { line: usize, anchor: usize, entries: Entries, key: Option<Key>, merges: Vec<Rc<Node>> },
}

/// The keys of a map so far, with the place of each in lower case.
#[derive(Default)]
struct Entries {
    list: Vec<Entry>,
    places: BTreeMap<String, usize>,
}

struct Key {
    text: String,
    line: usize,
    is_merge: bool,
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    /// Values that aliases added.
    expanded: usize,
    nodes: usize,
    root: Option<Rc<Node>>,
    problems: Vec<Problem>,
}

impl Builder {
    fn event(&mut self, event: Event, line: usize) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(fatal(line, format!("the file has more than {NODES_MAX} values")));
        }
        match event {
            Event::SequenceStart(anchor, _) => self.stack.push(Frame::List { line, anchor, items: Vec::new() }),
            Event::MappingStart(anchor, _) => {
                let (entries, merges) = (Entries::default(), Vec::new());
                self.stack.push(Frame::Map { line, anchor, entries, key: None, merges });
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(),
            Event::Scalar(text, style, anchor, tag) => {
                let node = Rc::new(Node::scalar(line, text, is_plain(style, tag.as_ref())));
                return self.complete(node, anchor, line);
            }
            Event::Alias(anchor) => return self.alias(anchor, line),
            _ => {}
        }
        if self.stack.len() > DEPTH_MAX {
            return Err(too_deep(line));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: usize) -> Result<(), Problem> {
        let node = self.anchors.get(&anchor).cloned();
        let node = node.ok_or_else(|| fatal(line, "the alias stands inside of what it refers to"))?;
        self.expanded = self.expanded.saturating_add(node.size);
        if self.expanded > NODES_MAX {
            return Err(fatal(line, format!("the aliases of the file stand for more than {NODES_MAX} values")));
        }
        self.complete(node, 0, line)
    }

    fn close(&mut self) -> Result<(), Problem> {
        let (node, anchor, line) = match self.stack.pop() {
            None => return Ok(()),
            Some(Frame::List { line, anchor, items }) => (Node::list(line, items), anchor, line),
            Some(Frame::Map { line, anchor, mut entries, merges, .. }) => {
                entries.merge(&merges);
                (Node::map(line, entries.list), anchor, line)
            }
        };
        if node.depth > DEPTH_MAX {
            return Err(too_deep(line));
        }
        self.complete(Rc::new(node), anchor, line)
    }

    /// Puts a complete value where it belongs; anchor 0 is none.
    fn complete(&mut self, node: Rc<Node>, anchor: usize, line: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { key: key @ None, .. }) => *key = Some(Key::of(&node, line)?),
            Some(Frame::Map { key: pending, entries, merges, .. }) => {
                let Some(key) = pending.take() else { return Ok(()) };
                if key.is_merge {
                    return merge_sources(&node, line).map(|sources| merges.extend(sources));
                }
                self.problems.extend(entries.push(Entry { key: key.text, line: key.line, value: node }));
            }
        }
        Ok(())
    }
}

impl Entries {
    /// Adds a key, or reports that it is there already; the first one counts.
    fn push(&mut self, entry: Entry) -> Option<Problem> {
        let place = *self.places.entry(entry.key.to_ascii_lowercase()).or_insert(self.list.len());
        let Some(first) = self.list.get(place) else {
            self.list.push(entry);
            return None;
        };
        let (key, other, line) = (shown(&entry.key), shown(&first.key), first.line);
        let message = match first.key == entry.key {
            true => format!("the key {key} is here and on line {line}; keep one of them"),
            false => format!("{key} here and {other} on line {line} are two spellings of one key; keep one of them"),
        };
        Some(fatal(entry.line, message))
    }

    /// Adds the keys of merged maps that the map itself does not have; the first of several maps wins.
    fn merge(&mut self, sources: &[Rc<Node>]) {
        let mut taken: BTreeSet<String> = self.places.keys().cloned().collect();
        for source in sources {
            let Kind::Map(merged) = &source.kind else { continue };
            for entry in merged {
                if taken.insert(entry.key.to_ascii_lowercase()) {
                    self.list.push(entry.clone());
                }
            }
        }
    }
}

impl Key {
    fn of(node: &Node, line: usize) -> Result<Self, Problem> {
        match &node.kind {
            Kind::Scalar(scalar) => {
                Ok(Self { text: scalar.text.clone(), line, is_merge: scalar.is_plain && scalar.text == "<<" })
            }
            _ => Err(fatal(line, "a key must be text, not a list or a map")),
        }
    }
}

fn too_deep(line: usize) -> Problem {
    fatal(line, format!("the file has more than {DEPTH_MAX} levels"))
}

fn is_plain(style: TScalarStyle, tag: Option<&Tag>) -> bool {
    match tag {
        None => style == TScalarStyle::Plain,
        // `!!int "5"` is the number, `!!str 5` and `! 5` are the text.
        Some(tag) => matches!(tag.suffix.as_str(), "int" | "float" | "bool" | "null"),
    }
}

fn merge_sources(node: &Rc<Node>, line: usize) -> Result<Vec<Rc<Node>>, Problem> {
    let sources = match &node.kind {
        Kind::Map(_) => vec![Rc::clone(node)],
        Kind::List(items) => items.clone(),
        Kind::Scalar(_) => Vec::new(),
    };
    if sources.is_empty() || !sources.iter().all(|source| matches!(source.kind, Kind::Map(_))) {
        return Err(fatal(line, "<< needs an alias of a map, or a list of them"));
    }
    Ok(sources)
}
