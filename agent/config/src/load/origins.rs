//! Remembers where each value came from, so that a problem found later can name its line.

use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Origins {
    by_path: BTreeMap<String, Origin>,
}

struct Origin {
    line: usize,
    variable: Option<String>,
}

impl Origins {
    pub(super) fn insert(&mut self, path: &str, line: usize, variable: Option<&str>) {
        let origin = Origin { line, variable: variable.map(str::to_owned) };
        self.by_path.insert(path.to_owned(), origin);
    }

    /// Returns the line of a key, or of the nearest section around it that is in the file.
    pub(super) fn line(&self, path: &str) -> usize {
        let mut path = path;
        loop {
            if let Some(origin) = self.by_path.get(path) {
                return origin.line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 1,
            }
        }
    }

    /// Returns the environment variable that gave the value of a key, if one did.
    pub(super) fn variable(&self, path: &str) -> Option<&str> {
        // The entries of a list that was one text come from the variable of the list.
        let list = path.rsplit_once('[').map_or(path, |(list, _)| list);
        [path, list].iter().find_map(|path| self.by_path.get(*path)?.variable.as_deref())
    }
}
