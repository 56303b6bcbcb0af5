//! Brings a tree into the canonical shape of a document: spelling of keys, weak types, the environment.

mod value;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::node::{Entry, Kind, Node};
use super::origins::Origins;
use super::schema::{Field, FieldKind, ROOT};
use crate::document::Document;
use crate::nearest::nearest;
use crate::problem::{Problem, shown};

/// A document and where its values came from.
pub(super) struct Shaped {
    pub(super) document: Document,
    pub(super) origins: Origins,
    pub(super) problems: Vec<Problem>,
}

/// Reads a tree by the schema; a value that cannot be read is reported and left out.
pub(super) fn shape(root: &Node, environment: &BTreeMap<String, String>) -> Shaped {
    let mut shaper = Shaper { environment, origins: Origins::default(), problems: Vec::new() };
    let value = match &root.kind {
        Kind::Map(entries) => shaper.section("", entries, ROOT),
        _ => Value::Object(Map::new()),
    };
    let document = serde_json::from_value(value).unwrap_or_else(|_| {
        // The schema and the document differ, which a test rules out.
        shaper.problems.push(Problem::error("", "the file has a value of an unexpected kind"));
        Document::default()
    });
    Shaped { document, origins: shaper.origins, problems: shaper.problems }
}

struct Shaper<'a> {
    environment: &'a BTreeMap<String, String>,
    origins: Origins,
    problems: Vec<Problem>,
}

impl Shaper<'_> {
    fn section(&mut self, path: &str, entries: &[Entry], fields: &[Field]) -> Value {
        let mut map = Map::new();
        for entry in entries {
            match fields.iter().find(|field| field.name.eq_ignore_ascii_case(&entry.key)) {
                None => self.unknown(path, entry, fields),
                Some(field) => {
                    if let Some(value) = self.entry(&joined(path, field.name), entry, field.kind) {
                        map.insert(field.name.to_owned(), value);
                    }
                }
            }
        }
        Value::Object(map)
    }

    fn unknown(&mut self, path: &str, entry: &Entry, fields: &[Field]) {
        let names = || fields.iter().map(|field| field.name);
        let advice = match nearest(&entry.key, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("valid here: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("the key {} is unknown and ignored; {advice}", shown(&entry.key));
        self.problems.push(Problem::warning(path, message).at_line(entry.line));
    }

    fn entry(&mut self, path: &str, entry: &Entry, kind: FieldKind) -> Option<Value> {
        let replaced = self.replacement(path, &entry.value, kind);
        let variable = replaced.as_ref().map(|(variable, _)| variable.as_str());
        self.origins.insert(path, entry.line, variable);
        let node = replaced.as_ref().map_or(&entry.value, |(_, node)| node);
        self.value(path, entry.line, node, kind)
    }

    /// Finds the variable that replaces a scalar of the file. Sections, lists of maps and what is in a list have none.
    fn replacement(&self, path: &str, node: &Node, kind: FieldKind) -> Option<(String, Rc<Node>)> {
        let is_scalar = matches!(node.kind, Kind::Scalar(_));
        let is_section = matches!(kind, FieldKind::Section(_) | FieldKind::Sections(_));
        if !is_scalar || is_section || path.contains('[') {
            return None;
        }
        let variable = path.to_ascii_uppercase();
        let text = self.environment.get(&variable).filter(|text| !text.is_empty())?;
        let node = Rc::new(Node::scalar(node.line, text.clone(), false));
        Some((variable, node))
    }

    fn value(&mut self, path: &str, line: usize, node: &Rc<Node>, kind: FieldKind) -> Option<Value> {
        let result = match (kind, &node.kind) {
            (FieldKind::Section(fields), Kind::Map(entries)) => return Some(self.section(path, entries, fields)),
            (FieldKind::Sections(fields), _) => return self.sections(path, line, node, fields),
            (FieldKind::Texts | FieldKind::Secrets | FieldKind::Urls, _) => return self.texts(path, line, node, kind),
            (_, Kind::Scalar(scalar)) => value::scalar(scalar, kind),
            (FieldKind::Section(_), _) => Err("must be a map of keys, not a list".to_owned()),
            (_, Kind::List(_)) => Err(format!("must be {}, not a list", value::wanted(kind))),
            (_, Kind::Map(_)) => Err(format!("must be {}, not a map", value::wanted(kind))),
        };
        match result {
            Ok(read) => {
                if let Some(warning) = read.warning {
                    self.problems.push(Problem::warning(path, warning).at_line(line));
                }
                read.value
            }
            Err(message) => {
                self.error(path, line, message);
                None
            }
        }
    }

    fn error(&mut self, path: &str, line: usize, message: impl Into<String>) {
        self.problems.push(Problem::error(path, message).at_line(line));
    }

    fn sections(&mut self, path: &str, line: usize, node: &Rc<Node>, fields: &'static [Field]) -> Option<Value> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Map(entries) if entries.is_empty() => &[],
            Kind::Map(_) => std::slice::from_ref(node),
            Kind::Scalar(scalar) if scalar.is_null() => return None,
            Kind::Scalar(_) => {
                self.error(path, line, "must be a list of maps, not text");
                return None;
            }
        };
        let values = items.iter().enumerate().map(|(index, item)| self.section_item(path, index, item, fields));
        Some(Value::Array(values.collect()))
    }

    /// An item that cannot be read leaves an empty one, so that the others keep their places.
    fn section_item(&mut self, path: &str, index: usize, item: &Rc<Node>, fields: &'static [Field]) -> Value {
        let path = format!("{path}[{index}]");
        self.origins.insert(&path, item.line, None);
        match &item.kind {
            Kind::Map(entries) => return self.section(&path, entries, fields),
            Kind::Scalar(scalar) if scalar.is_null() => self.error(&path, item.line, "is empty; fill it or remove it"),
            _ => self.error(&path, item.line, "must be a map of keys"),
        }
        Value::Object(Map::new())
    }

    fn texts(&mut self, path: &str, line: usize, node: &Rc<Node>, kind: FieldKind) -> Option<Value> {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Map(entries) if entries.is_empty() => return Some(Value::Array(Vec::new())),
            Kind::Map(_) => {
                self.error(path, line, "must be a list of texts, not a map");
                return None;
            }
            Kind::Scalar(scalar) if scalar.is_null() => return None,
            Kind::Scalar(scalar) => {
                if let Some(texts) = value::split(scalar, kind) {
                    return Some(texts);
                }
                std::slice::from_ref(node)
            }
        };
        let values = items.iter().enumerate().map(|(index, item)| self.text_item(path, index, item, kind));
        Some(Value::Array(values.collect()))
    }

    fn text_item(&mut self, path: &str, index: usize, item: &Rc<Node>, kind: FieldKind) -> Value {
        let path = format!("{path}[{index}]");
        self.origins.insert(&path, item.line, None);
        let kind = match kind {
            FieldKind::Secrets | FieldKind::Urls => FieldKind::Secret,
            _ => FieldKind::Text,
        };
        if matches!(&item.kind, Kind::Scalar(scalar) if scalar.is_null()) {
            self.error(&path, item.line, "is empty; fill it or remove it");
        }
        self.value(&path, item.line, item, kind).unwrap_or_else(|| Value::String(String::new()))
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
