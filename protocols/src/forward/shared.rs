//! The state that all exchanges of a service share.

use std::cell::RefCell;

use sluicegate_reactor::HandlerId;

use super::options::ForwardOptions;
use super::rules::FieldRules;
use super::tunnel::Tunnel;
use crate::warnings::Warnings;

/// The state that all exchanges of a service share.
pub(super) struct Shared {
    pub(super) options: ForwardOptions,
    pub(super) request_rules: FieldRules,
    pub(super) response_rules: FieldRules,
    pub(super) tunnel: HandlerId<Tunnel>,
    pub(super) warnings: RefCell<Warnings>,
    /// The header fields of the message that is being passed on.
    pub(super) lines: RefCell<Vec<u8>>,
}
