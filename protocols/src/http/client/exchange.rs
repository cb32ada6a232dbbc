//! The trait that handles a response.

use sluicegate_reactor::fs::{Committed, NewFile};
use sluicegate_reactor::{ConnId, Context, Payload, Turn};

use super::error::ClientError;
use super::response::Response;
use super::stream::RequestStream;
use crate::http::trailers::Trailers;

/// How an exchange receives the body of a response.
#[derive(Debug)]
#[must_use]
pub enum Take {
    /// Not at all. [`Exchange::on_end`] is called immediately. A short body is skipped; for a
    /// longer one, the connection is closed.
    Nothing,
    /// Receives the whole body, up to this many bytes, for [`Exchange::on_body`]. The limit
    /// [`max_exact`](sluicegate_reactor::Limits::max_exact) of the connection applies too;
    /// it is 16 MiB by default. The exchange fails if the body is longer.
    Whole(usize),
    /// Receives the body in pieces, for [`Exchange::on_piece`] and [`Exchange::on_end`].
    Pieces,
    /// Relays the body to another connection, with
    /// [`relay_part`](sluicegate_reactor::Peer::relay_part), and then calls [`Exchange::on_end`].
    /// The exchange fails if the length of the body is not [known](Response::body_length), or if
    /// the other connection ends first. If the body is cut off, the other connection is reset.
    Relay(ConnId),
    /// Receives the body into a file, for [`Exchange::on_saved`]. Its length is not limited.
    File(NewFile),
}

/// Handles the response to one request. There is one value per request.
///
/// The last callback takes the value: [`on_body`](Exchange::on_body),
/// [`on_end`](Exchange::on_end) or [`on_saved`](Exchange::on_saved), according to the [`Take`] that
/// [`on_response`](Exchange::on_response) returned; [`on_upgrade`](Exchange::on_upgrade); or
/// [`on_failed`](Exchange::on_failed). It is called exactly once, unless the exchange is
/// [cancelled](super::Client::cancel) or the reactor has stopped before it could begin; the value
/// is then dropped. Every callback may send further requests.
#[expect(unused_variables, reason = "most defaults do nothing")]
pub trait Exchange: Sized + 'static {
    /// The head of the response has arrived. Returns how to receive the body.
    fn on_response(&mut self, cx: &mut Turn, response: &Response<'_>) -> Take;

    /// An interim response has arrived, such as 100 (Continue) or 103 (Early Hints). There can be
    /// several, and the final one follows.
    fn on_interim(&mut self, cx: &mut Turn, response: &Response<'_>) {}

    /// The head of a request whose body is [streamed](super::Request::stream) has been sent. The
    /// body can be sent now or later.
    ///
    /// By default the stream is dropped, and the exchange fails.
    ///
    /// ```
    /// use sluicegate_protocols::http::client::{
    ///     ClientError, Exchange, RequestStream, Response, Take,
    /// };
    /// use sluicegate_reactor::{Sent, Turn};
    ///
    /// /// Sends numbers as fast as the origin takes them.
    /// struct Numbers {
    ///     left: std::ops::Range<u32>,
    ///     stream: Option<RequestStream>,
    /// }
    ///
    /// impl Exchange for Numbers {
    ///     fn on_stream(&mut self, cx: &mut Turn, stream: RequestStream) {
    ///         self.stream = Some(stream);
    ///         self.on_room(cx);
    ///     }
    ///
    ///     fn on_room(&mut self, cx: &mut Turn) {
    ///         let Some(mut stream) = self.stream.take() else { return };
    ///         while let Some(number) = self.left.next() {
    ///             match stream.send(cx, format!("{number}\n")) {
    ///                 Sent::Accepted => {}
    ///                 Sent::Full => return self.stream = Some(stream),
    ///                 Sent::Gone => return,
    ///             }
    ///         }
    ///         stream.finish(cx);
    ///     }
    ///
    ///     fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
    ///         Take::Nothing
    ///     }
    ///
    ///     fn on_failed(self, _: &mut Turn, error: ClientError) {
    ///         eprintln!("{error}");
    ///     }
    /// }
    /// ```
    fn on_stream(&mut self, cx: &mut Turn, stream: RequestStream) {
        let connection = cx.peer(stream.connection());
        log::error!("{}: on_stream is not implemented", connection.describe());
    }

    /// There is room again for a [`RequestStream`] whose `send` returned
    /// [`Sent::Full`](sluicegate_reactor::Sent::Full).
    fn on_room(&mut self, cx: &mut Turn) {}

    /// The next piece of a body that is received in [pieces](Take::Pieces) has arrived.
    ///
    /// For backpressure, [pause](sluicegate_reactor::Peer::pause) the connection.
    ///
    /// ```
    /// use sluicegate_protocols::http::Trailers;
    /// use sluicegate_protocols::http::client::{ClientError, Exchange, Response, Take};
    /// use sluicegate_reactor::{ConnId, Turn};
    ///
    /// /// Counts the lines of a feed.
    /// struct Feed {
    ///     lines: usize,
    /// }
    ///
    /// impl Exchange for Feed {
    ///     fn on_response(&mut self, _: &mut Turn, _: &Response<'_>) -> Take {
    ///         Take::Pieces
    ///     }
    ///
    ///     fn on_piece(&mut self, _: &mut Turn, _: ConnId, piece: &[u8]) {
    ///         self.lines += piece.iter().filter(|byte| **byte == b'\n').count();
    ///     }
    ///
    ///     fn on_end(self, _: &mut Turn, trailers: Trailers<'_>) {
    ///         println!("{} lines, checksum {:?}", self.lines, trailers.get("Checksum"));
    ///     }
    ///
    ///     fn on_failed(self, _: &mut Turn, error: ClientError) {
    ///         eprintln!("{error} after {} lines", self.lines);
    ///     }
    /// }
    /// ```
    fn on_piece(&mut self, cx: &mut Turn, connection: ConnId, piece: &[u8]) {}

    /// A body that is received [whole](Take::Whole) is complete. One that arrived together with its
    /// head, or that is short, is borrowed. A long one stays in the buffer that it was received
    /// into.
    fn on_body(self, cx: &mut Turn, body: Payload<'_>) {}

    /// All pieces of a body have been delivered, the body has been relayed, or the exchange does
    /// not want it. Only a chunked body that is received in pieces has trailers.
    fn on_end(self, cx: &mut Turn, trailers: Trailers<'_>) {}

    /// A body that is received into a [file](Take::File) is complete, and the file has its name.
    ///
    /// ```
    /// use sluicegate_protocols::http::Status;
    /// use sluicegate_protocols::http::client::{ClientError, Exchange, Response, Take};
    /// use sluicegate_reactor::Turn;
    /// use sluicegate_reactor::fs::{Committed, CreateOptions, Dir};
    ///
    /// struct Download {
    ///     folder: Dir,
    /// }
    ///
    /// impl Exchange for Download {
    ///     fn on_response(&mut self, _: &mut Turn, response: &Response<'_>) -> Take {
    ///         let file = self.folder.create("latest", &CreateOptions::default());
    ///         match file {
    ///             Ok(file) if response.status() == Status::OK => Take::File(file),
    ///             _ => Take::Nothing,
    ///         }
    ///     }
    ///
    ///     fn on_saved(self, _: &mut Turn, committed: Committed) {
    ///         println!("{committed:?}");
    ///     }
    ///
    ///     fn on_failed(self, _: &mut Turn, error: ClientError) {
    ///         eprintln!("{error}");
    ///     }
    /// }
    /// ```
    fn on_saved(self, cx: &mut Turn, committed: Committed) {}

    /// The origin has agreed to an [upgrade](super::Request::upgrade), and names only protocols
    /// that the request offers. The callback [hands the connection over](Context::hand_over) to the
    /// handler of the new protocol, which gets all bytes after the head. If it does not, the
    /// connection is closed.
    fn on_upgrade(self, cx: &mut Context<'_>, response: &Response<'_>) {}

    /// The exchange has failed. The origin may have processed the request nevertheless, unless the
    /// [cause](ClientError::cause) says that it was never sent.
    fn on_failed(self, cx: &mut Turn, error: ClientError);
}
