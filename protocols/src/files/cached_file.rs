//! A file in the cache, with its precompressed siblings.

use std::io;
use std::iter;
use std::time::Duration;

use super::encodings;
use super::representation::{Loading, Opened, Representation};
use super::types::content_type;
use crate::http::{Answered, Reply, Request, Status, values};

/// A regular file and its siblings. Siblings that do not exist are not looked for until the next
/// check of the disk.
pub(super) struct CachedFile {
    plain: Representation,
    /// The most preferred coding first.
    encoded: Vec<Representation>,
    /// The last check of the disk.
    pub(super) checked: Check,
}

/// A check of the disk.
#[derive(Clone, Copy)]
pub(super) struct Check {
    /// The time, by the reactor's clock.
    pub(super) at: Duration,
    /// The number of changes before it.
    pub(super) changes: u64,
}

/// A file and its siblings, just opened.
pub(super) struct OpenedFile {
    /// The path from which the type is derived.
    pub(super) name: Vec<u8>,
    pub(super) plain: Opened,
    pub(super) encoded: Vec<Opened>,
}

impl CachedFile {
    /// Caches files that were just opened. Those of at most `small_body` bytes are read. `date` is
    /// the time in the `Date` of the response.
    pub(super) fn load(
        opened: OpenedFile,
        small_body: usize,
        checked: Check,
        date: u64,
    ) -> io::Result<CachedFile> {
        let OpenedFile { name, plain, encoded } = opened;
        let (content_type, varies) = (&content_type(&name), !encoded.is_empty());
        let loading = Loading { content_type, varies, small_body, date };
        let load = |opened| Representation::load(opened, loading);
        let (plain, encoded) = (load(plain)?, encoded.into_iter().map(load));
        Ok(CachedFile { plain, encoded: encoded.collect::<io::Result<_>>()?, checked })
    }

    /// Its weight in the cache.
    pub(super) fn weight(&self) -> usize {
        self.plain.weight() + self.encoded.iter().map(Representation::weight).sum::<usize>()
    }

    /// Answers a GET or HEAD with it. `status` is 200, or that of an error whose page it is.
    pub(super) fn answer(
        &self,
        status: Status,
        request: &Request<'_>,
        reply: Reply<'_, '_>,
    ) -> Answered {
        let representation = self.select(request);
        if status == Status::OK {
            representation.answer(request, reply)
        } else {
            representation.answer_error(status, reply)
        }
    }

    /// The client's preferences.
    fn select(&self, request: &Request<'_>) -> &Representation {
        if self.encoded.is_empty() {
            return &self.plain;
        }
        let accepted = values(request.headers(), "Accept-Encoding");
        let codings = self.encoded.iter().filter_map(|encoded| encoded.coding);
        match encodings::choose(accepted, codings) {
            Some(at) => &self.encoded[at],
            None => &self.plain,
        }
    }

    /// Whether it can be used instead of this check of the disk.
    pub(super) fn is_fresh(&self, check: Check, valid_for: Duration) -> bool {
        self.checked.changes == check.changes
            && check.at.saturating_sub(self.checked.at) < valid_for
    }

    /// Whether the disk has the same versions now, by their metadata.
    pub(super) fn is_current(&self, opened: &OpenedFile) -> bool {
        self.plain.is_current(&opened.plain)
            && self.encoded.len() == opened.encoded.len()
            && self.encoded.iter().zip(&opened.encoded).all(|(old, new)| old.is_current(new))
    }

    /// Puts the open files of small files that are not in memory yet in place of the same files
    /// that were just opened: the reactor knows which of their bytes are in memory. Returns whether
    /// there are any.
    pub(super) fn reuse_unloaded(&self, opened: &mut OpenedFile, small_body: usize) -> bool {
        let new = iter::once(&mut opened.plain).chain(&mut opened.encoded);
        let mut any = false;
        for (old, new) in iter::once(&self.plain).chain(&self.encoded).zip(new) {
            if let Some(same) = old.to_load(small_body) {
                new.file = same.clone();
                any = true;
            }
        }
        any
    }
}
