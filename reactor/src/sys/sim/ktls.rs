//! TLS in a simulated kernel, which supports only the format of
//! [`testing::Records`](crate::testing::Records).

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};

use super::{Stream, World};
use crate::sys::tls::{Cipher, Key, Suite};
use crate::sys::{Direction, Fd, Ready};

/// What a simulated kernel supports of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelTls {
    /// Nothing, as if it had no such module.
    Missing,
    /// Everything except key updates, like Linux before 6.14.
    FixedKeys,
    /// Everything.
    #[default]
    Full,
}

/// The content type of data.
const DATA: u8 = b'd';
/// The length of the header of a record: its content type and two bytes of length.
const HEADER: usize = 3;
/// The maximum number of bytes in a record.
const LONGEST: usize = 16 << 10;

/// The records of a stream.
#[derive(Default)]
pub(super) struct Tls {
    seals: bool,
    opens: bool,
    /// The rest of a record of data that was received in part.
    opened: VecDeque<u8>,
    /// Whether a receive has come to a damaged record, which stays at the front.
    damaged: bool,
    /// Whether the next event reports it. Each such receive causes an event, as in Linux
    /// (`tls_err_abort`).
    reports_damage: bool,
}

impl Tls {
    pub(super) fn seals(&self) -> bool {
        self.seals
    }

    pub(super) fn opens(&self) -> bool {
        self.opens
    }

    /// Whether a receive would bring something, or fail.
    pub(super) fn has_record(&self, inbox: &VecDeque<u8>) -> bool {
        !self.opened.is_empty() || !self.damaged && !matches!(front(inbox), Ok(None))
    }

    /// Whether an edge has announced what is in the inbox.
    pub(super) fn has_announced(&self, inbox: &VecDeque<u8>) -> bool {
        self.opens && self.has_record(inbox)
    }

    /// Receives from one record of data. `None` if there is no complete record.
    pub(super) fn recv(
        &mut self,
        inbox: &mut VecDeque<u8>,
        buffer: &mut [u8],
        limit: usize,
        edge: &mut bool,
    ) -> Option<io::Result<usize>> {
        while self.opened.is_empty() {
            match front(inbox) {
                Err(error) => {
                    (self.damaged, self.reports_damage, *edge) = (true, true, true);
                    return Some(Err(error));
                }
                Ok(None) => return None,
                Ok(Some((DATA, _))) => self.opened = take(inbox)?.1.into(),
                Ok(Some(_)) => return Some(Err(io::Error::from_raw_os_error(libc::EIO))),
            }
        }
        let count = buffer.len().min(limit).min(self.opened.len());
        Some(self.opened.read_exact(&mut buffer[..count]).map(|()| count))
    }

    /// Appends `count` bytes of the pieces as records of data.
    pub(super) fn seal(&self, pieces: &[IoSlice<'_>], count: usize, outbox: &mut Vec<u8>) {
        let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        all[..count].chunks(LONGEST).for_each(|payload| put(DATA, payload, outbox));
    }
}

/// The content type and the length of the record at the front, if all of it has arrived.
fn front(inbox: &VecDeque<u8>) -> io::Result<Option<(u8, usize)>> {
    let [Some(&kind), Some(&high), Some(&low)] = [0, 1, 2].map(|at| inbox.get(at)) else {
        return Ok(None);
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > LONGEST || !kind.is_ascii_lowercase() {
        return Err(io::Error::from_raw_os_error(libc::EBADMSG));
    }
    Ok((inbox.len() >= HEADER + len).then_some((kind, len)))
}

/// Takes the record at the front.
fn take(inbox: &mut VecDeque<u8>) -> Option<(u8, Vec<u8>)> {
    let (kind, len) = front(inbox).ok()??;
    let record: Vec<u8> = inbox.drain(..HEADER + len).collect();
    Some((kind, record[HEADER..].iter().map(|byte| !byte).collect()))
}

pub(super) fn put(kind: u8, payload: &[u8], outbox: &mut Vec<u8>) {
    outbox.push(kind);
    outbox.extend((payload.len() as u16).to_be_bytes());
    outbox.extend(payload.iter().map(|byte| !byte));
}

/// TLS: the calls of [`Kernel`](crate::sys::Kernel), each documented there.
impl World {
    /// Sets what the kernel can do of TLS.
    pub(crate) fn set_kernel_tls(&self, tls: KernelTls) {
        self.0.borrow_mut().tls = tls;
    }

    pub(crate) fn supports_tls(&self, suite: Suite) -> io::Result<()> {
        let does = self.0.borrow().tls != KernelTls::Missing && suite.cipher == Cipher::Inverted;
        if does { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
    }

    pub(crate) fn attach_tls(&self, socket: Fd) -> io::Result<()> {
        let attached = self.with_socket(socket, |stream, _| stream.attach_tls());
        self.note(format_args!("setsockopt({socket}, TCP_ULP, tls)"));
        attached
    }

    pub(crate) fn set_tls_key(&self, socket: Fd, direction: Direction, _: &Key) -> io::Result<()> {
        let may_update = self.0.borrow().tls == KernelTls::Full;
        let set = self.with_socket(socket, |stream, _| stream.set_tls_key(direction, may_update));
        self.note(format_args!("setsockopt({socket}, TLS key for {direction:?})"));
        set
    }

    pub(crate) fn recv_record(
        &self,
        socket: Fd,
        buffer: &mut [u8],
    ) -> io::Result<Option<(u8, usize)>> {
        let received = self.with_socket(socket, |stream, calls| {
            calls.recv += 1;
            stream.recv_record(buffer)
        });
        if let Ok(Some((kind, count))) = received {
            let kind = char::from(kind);
            self.note(format_args!("recvmsg({socket}) = {count} in a record of type {kind}"));
        }
        received
    }

    pub(crate) fn send_record(&self, socket: Fd, kind: u8, payload: &[u8]) -> io::Result<()> {
        let sent = self.with_socket(socket, |stream, calls| {
            calls.send += 1;
            stream.send_record(kind, payload)
        });
        let kind = char::from(kind);
        self.note(format_args!("sendmsg({socket}) of a record of type {kind}"));
        sent
    }
}

impl Stream {
    /// The readiness by which an event reports a damaged record, if a receive has come to one since
    /// the last event.
    pub(super) fn take_damage(&mut self) -> Ready {
        let reports = |tls: &mut Box<Tls>| std::mem::take(&mut tls.reports_damage);
        if self.tls.as_mut().is_some_and(reports) { Ready::READ } else { Ready::default() }
    }

    fn attach_tls(&mut self) -> io::Result<()> {
        if self.has_ended() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        assert!(self.tls.is_none(), "the kernel has the stream's records already");
        self.tls = Some(Box::default());
        Ok(())
    }

    fn set_tls_key(&mut self, direction: Direction, may_update: bool) -> io::Result<()> {
        let tls = self.tls.as_mut().expect("a key without TCP_ULP");
        let has = match direction {
            Direction::Send => &mut tls.seals,
            Direction::Receive => &mut tls.opens,
        };
        if *has && !may_update {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        *has = true;
        if direction == Direction::Receive {
            self.urgent = None;
        }
        Ok(())
    }

    fn recv_record(&mut self, buffer: &mut [u8]) -> io::Result<Option<(u8, usize)>> {
        self.recvs.next(&mut self.edge)?;
        let (kind, payload) = take(&mut self.inbox).expect("a receive has announced a record");
        buffer[..payload.len()].copy_from_slice(&payload);
        Ok(Some((kind, payload.len())))
    }
}
