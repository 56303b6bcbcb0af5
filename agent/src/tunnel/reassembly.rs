//! Puts the chunks of one stream in order. Chunks go in as they arrive, in any order and overlapping; they come out as
//! the stream. Bytes are kept by reference; a stream that arrives in order needs no memory here.
//!
//! The library would do the same, but gives up the connection at 1,024 gaps.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf, Bytes};

use crate::tunnel::windows::WINDOW_MAX;

/// A shorter chunk is copied, so that it does not keep the packet that it came in.
const REFERENCE_MIN_BYTES: usize = 512;
/// What a chunk costs beside its bytes: the entry and the allocation.
const CHUNK_COST_BYTES: usize = 128;

/// Chunks that came before their turn.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    next: u64,
    early: BTreeMap<u64, Bytes>,
    held: usize,
}

impl Reassembly {
    /// Tells where the next byte of the stream is.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Tells what the chunks held here cost, in bytes.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes a chunk in. The one whose turn it is comes back at once; what is early is kept, what is known is dropped.
    pub(super) fn accept(&mut self, offset: u64, bytes: Bytes) -> Option<Bytes> {
        if offset == self.next && self.early.is_empty() {
            self.next += bytes.len() as u64;
            return Some(bytes).filter(|bytes| !bytes.is_empty());
        }
        let (offset, bytes) = skip_to(self.next, offset, bytes);
        let before = self.early.range(..=offset).next_back().map(|(at, chunk)| at + chunk.len() as u64);
        let (offset, bytes) = skip_to(before.unwrap_or(0), offset, bytes);
        self.keep_what_is_new(offset, bytes);
        self.take(usize::MAX)
    }

    /// Takes up to `max_bytes` of the next chunk, if it is here.
    pub(super) fn take(&mut self, max_bytes: usize) -> Option<Bytes> {
        let mut first = self.early.first_entry().filter(|first| *first.key() == self.next)?;
        if first.get().len() > max_bytes {
            let bytes = first.get_mut().split_to(max_bytes);
            let rest = first.remove();
            self.next += max_bytes as u64;
            self.held -= max_bytes;
            self.early.insert(self.next, rest);
            return Some(bytes);
        }
        let bytes = first.remove();
        self.next += bytes.len() as u64;
        self.held -= bytes.len() + CHUNK_COST_BYTES;
        Some(bytes)
    }

    /// Drops everything that is early.
    pub(super) fn clear(&mut self) {
        self.early = BTreeMap::new();
        self.held = 0;
    }

    fn keep_what_is_new(&mut self, mut offset: u64, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let known = self.early.range(offset..).next().map(|(at, chunk)| (*at, at + chunk.len() as u64));
            let (from, to) = known.unwrap_or((u64::MAX, u64::MAX));
            let new = bytes.split_to(bytes.len().min(usize::try_from(from - offset).unwrap_or(usize::MAX)));
            let end = offset + new.len() as u64;
            self.keep(offset, new);
            (offset, bytes) = skip_to(to, end, bytes);
        }
    }

    fn keep(&mut self, offset: u64, bytes: Bytes) {
        if !bytes.is_empty() {
            self.held += bytes.len() + CHUNK_COST_BYTES;
            let copied = bytes.len() < REFERENCE_MIN_BYTES;
            self.early.insert(offset, if copied { Bytes::copy_from_slice(&bytes) } else { bytes });
        }
    }
}

/// Drops what lies before `start`.
fn skip_to(start: u64, offset: u64, mut bytes: Bytes) -> (u64, Bytes) {
    let known = usize::try_from(start.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes.len());
    bytes.advance(known);
    (offset + known as u64, bytes)
}

/// What all streams of a channel may hold here together, in bytes.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    limit: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(WINDOW_MAX)
    }
}

impl Budget {
    pub(super) fn new(limit: u32) -> Self {
        Self { held: AtomicUsize::new(0), limit: limit as usize }
    }

    /// Tells whether nothing more should be kept before its turn.
    pub(super) fn is_spent(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.limit
    }

    /// Counts that a stream now holds `after` bytes instead of `before`.
    pub(super) fn change(&self, before: usize, after: usize) {
        if after > before {
            self.held.fetch_add(after - before, Ordering::Relaxed);
        } else if after < before {
            self.held.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(from: usize, to: usize) -> Bytes {
        (from..to).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn a_chunk_in_order_comes_back_by_reference_and_needs_no_memory() {
        let mut reassembly = Reassembly::default();
        let chunk = content(0, 1_000);
        assert_eq!(reassembly.accept(0, chunk.clone()).unwrap().as_ptr(), chunk.as_ptr());
        assert_eq!((reassembly.next(), reassembly.held()), (1_000, 0));
    }

    #[test]
    fn an_early_chunk_is_kept_by_reference_and_a_tiny_one_is_copied() {
        let mut reassembly = Reassembly::default();
        let (first, early, tiny) = (content(0, 600), content(600, 1_200), content(1_200, 1_201));
        assert_eq!(reassembly.accept(1_200, tiny.clone()), None);
        assert_eq!(reassembly.accept(600, early.clone()), None);
        assert_eq!(reassembly.held(), 601 + 2 * CHUNK_COST_BYTES);
        assert_eq!(reassembly.accept(0, first.clone()), Some(first));
        assert_eq!(reassembly.take(usize::MAX).unwrap().as_ptr(), early.as_ptr());
        assert_ne!(reassembly.take(usize::MAX).unwrap().as_ptr(), tiny.as_ptr());
        assert_eq!((reassembly.next(), reassembly.held()), (1_201, 0));
    }

    #[test]
    fn a_budget_is_spent_at_its_limit_and_comes_back() {
        let budget = Budget::new(1_000);
        budget.change(0, 1_000);
        assert!(budget.is_spent());
        budget.change(1_000, 10);
        assert!(!budget.is_spent());
    }

    proptest! {
        #[test]
        fn any_order_and_overlap_of_chunks_yields_the_stream(
            length in 1..4_000usize,
            pieces in prop::collection::vec((0..4_000usize, 1..900usize), 0..40),
            takes in prop::collection::vec(1..700usize, 0..20),
        ) {
            let whole = content(0, length);
            let mut reassembly = Reassembly::default();
            let (mut out, mut takes) = (Vec::new(), takes.into_iter());
            // Whatever the pieces left out comes last, backwards.
            let rest = (0..length.div_ceil(100)).rev().map(|index| (index * 100, 100));
            for (from, size) in pieces.into_iter().chain(rest) {
                let to = (from + size).min(length);
                if from < to {
                    out.extend(reassembly.accept(from as u64, whole.slice(from..to)).unwrap_or_default());
                }
                if let Some(max) = takes.next() {
                    let taken = reassembly.take(max).unwrap_or_default();
                    prop_assert!(taken.len() <= max);
                    out.extend(taken);
                }
                prop_assert_eq!(reassembly.next(), out.len() as u64);
                let chunks = reassembly.early.len();
                let bytes: usize = reassembly.early.values().map(Bytes::len).sum();
                prop_assert_eq!(reassembly.held(), bytes + chunks * CHUNK_COST_BYTES);
                prop_assert!(bytes + out.len() <= length);
            }
            while let Some(chunk) = reassembly.take(usize::MAX) {
                out.extend(chunk);
            }
            prop_assert_eq!(&out[..], &whole[..]);
            prop_assert_eq!(reassembly.held(), 0);
        }
    }
}
