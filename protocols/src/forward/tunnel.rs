//! Connections that no longer speak HTTP after an upgrade.

use sluicegate_reactor::{Context, Handler, Input};

use super::attempt::Attempt;
use crate::http::ResponseStream;
use crate::raw::relay::join;

/// The handler of connections to the origin after an upgrade. Each relays to the connection of its
/// client and back, until both have ended or no byte has moved for the idle limit.
#[derive(Debug)]
pub(super) struct Tunnel;

impl Handler for Tunnel {
    /// The stream that keeps the connection of the client, which belongs to `Http`, and the attempt
    /// that counts the tunnel among the requests of the origin.
    type Session = Option<(ResponseStream, Attempt)>;

    /// Never called: all connections are handed over.
    fn on_open(&mut self, _: &mut Context<'_>) -> Self::Session {
        None
    }

    fn on_ready(&mut self, cx: &mut Context<'_>, client: &mut Self::Session) {
        if let Some((client, _)) = client {
            join(cx, client.connection());
            // It has paused if bytes of the new protocol arrived before the response.
            cx.peer(client.connection()).resume();
        }
    }

    /// Never called: all input is relayed.
    fn on_data(&mut self, _: &mut Context<'_>, _: &mut Self::Session, input: &mut Input<'_>) {
        input.take();
    }

    fn on_stop(&mut self, _: &mut Context<'_>, _: &mut Self::Session) {}
}
