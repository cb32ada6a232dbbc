//! Why a connection was not established.

use std::borrow::Cow;
use std::io::ErrorKind;

use sluicegate_reactor::Reason;

/// Whether this process is to blame, and not the remote host.
pub(crate) fn is_own_fault(why: Reason) -> bool {
    matches!(
        why,
        Reason::Stopped
            | Reason::Aborted
            | Reason::MemoryBudget
            | Reason::Panicked
            | Reason::Unconnected(ErrorKind::QuotaExceeded)
    )
}

/// The words for [`Reason::Unconnected`], for a log.
pub(crate) fn text(kind: ErrorKind) -> Cow<'static, str> {
    match kind {
        ErrorKind::NotFound => "no such host or socket".into(),
        ErrorKind::QuotaExceeded => "too many connections, lookups or open files".into(),
        kind => kind.to_string().into(),
    }
}
