//! A YAML tree that knows its lines. Not Debug: it holds secrets.

use std::rc::Rc;

/// One value. Aliases share it, so the size counts what the tree would hold if they were written out.
pub(super) struct Node {
    pub(super) line: usize,
    /// Values in this tree, itself included.
    pub(super) size: usize,
    /// Levels of this tree, itself included.
    pub(super) depth: usize,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Scalar(Scalar),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
}

/// A text and whether it was written without quotes, so that it may mean a number or nothing.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) is_plain: bool,
}

/// One key of a map with its value, in the order of the file.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Rc<Node>,
}

impl Node {
    pub(super) fn scalar(line: usize, text: String, is_plain: bool) -> Self {
        Self { line, size: 1, depth: 1, kind: Kind::Scalar(Scalar { text, is_plain }) }
    }

    pub(super) fn list(line: usize, items: Vec<Rc<Node>>) -> Self {
        let (size, depth) = measure(items.iter());
        Self { line, size, depth, kind: Kind::List(items) }
    }

    pub(super) fn map(line: usize, entries: Vec<Entry>) -> Self {
        let (size, depth) = measure(entries.iter().map(|entry| &entry.value));
        Self { line, size, depth, kind: Kind::Map(entries) }
    }
}

fn measure<'a>(children: impl Iterator<Item = &'a Rc<Node>>) -> (usize, usize) {
    let (size, depth) =
        children.fold((0usize, 0), |(size, depth), child| (size.saturating_add(child.size), depth.max(child.depth)));
    (size.saturating_add(1), depth + 1)
}
