//! Which configuration is in force after a start: the file, what was saved of API changes, or what the operator pushed.
//! Pure.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use wovenet_config::Document;

/// A configuration that came over the API, as saved in the state directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Saved {
    /// SHA-256 of the file that it was made on top of, hexadecimal.
    pub(super) file_hash: String,
    /// The configuration.
    pub(super) document: Document,
}

/// What to do with a saved configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// The file is in force.
    File,
    /// The saved one is in force.
    Saved,
    /// The file is in force as a person has changed it since; the saved one is out of date.
    Superseded,
}

/// Chooses: the operator's highest revision wins; a person's API changes hold until the file is changed.
pub(super) fn choose(file: &Document, file_hash: &str, saved: Option<&Saved>) -> Choice {
    let Some(saved) = saved else { return Choice::File };
    match (file.revision.unwrap_or(0), saved.document.revision.unwrap_or(0)) {
        (0, 0) if saved.file_hash == file_hash => Choice::Saved,
        (0, 0) => Choice::Superseded,
        (of_file, of_saved) if of_saved > of_file => Choice::Saved,
        _ => Choice::File,
    }
}

/// Returns the SHA-256 of a file's content, hexadecimal.
pub(super) fn hash(content: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest::digest(&digest::SHA256, content).as_ref())
}

#[cfg(test)]
mod tests {
    use wovenet_config::document::DOCUMENT_MAX_BYTES;

    use super::*;
    use crate::peer::store::API_CHANGES_MAX_BYTES;

    fn document(revision: Option<u64>) -> Document {
        Document { revision, ..Document::default() }
    }

    fn saved(revision: Option<u64>, file_hash: &str) -> Saved {
        Saved { file_hash: file_hash.to_owned(), document: document(revision) }
    }

    #[test]
    fn api_changes_hold_until_the_file_is_changed() {
        assert_eq!(choose(&document(None), "h", Some(&saved(None, "h"))), Choice::Saved);
        assert_eq!(choose(&document(None), "new", Some(&saved(None, "h"))), Choice::Superseded);
        assert_eq!(choose(&document(None), "h", None), Choice::File);
    }

    #[test]
    fn the_highest_revision_of_the_operator_wins() {
        assert_eq!(choose(&document(Some(4)), "h", Some(&saved(Some(5), "h"))), Choice::Saved);
        assert_eq!(choose(&document(Some(5)), "h", Some(&saved(Some(5), "h"))), Choice::File);
        assert_eq!(choose(&document(Some(6)), "h", Some(&saved(Some(5), "h"))), Choice::File);
    }

    #[test]
    fn the_largest_document_fits_the_saved_file_even_where_json_needs_more_than_yaml() {
        // Two bytes of YAML each, six and four of JSON.
        let [escapes, items] =
            [("password: \"", "\\a", "\""), ("brokerServer: [", "a,", "]")].map(|(begin, item, end)| {
                let (begin, end) = (format!("messageChannel: {{ mqtt: {{ {begin}"), format!("{end} }} }}"));
                let count = (DOCUMENT_MAX_BYTES - begin.len() - end.len()) / item.len();
                format!("{begin}{}{end}", item.repeat(count))
            });
        for text in [escapes, items] {
            let document = Document::read(text.as_bytes()).unwrap();
            let json = serde_json::to_vec(&Saved { file_hash: hash(b""), document }).unwrap();
            assert!(json.len() > DOCUMENT_MAX_BYTES && json.len() <= API_CHANGES_MAX_BYTES, "{}", json.len());
        }
    }
}
