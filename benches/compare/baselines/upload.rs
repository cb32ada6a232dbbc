//! Files that are put.

use std::fs::{File, rename};
use std::io::{self, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};

use super::Service;
use crate::load::http::head_end;
use crate::poll::done;

/// Bytes of the pipe.
const PIPE: usize = 1 << 20;

/// Moves bodies into files through a pipe. A file gets its name when it is complete.
pub(super) struct Uploads {
    folder: PathBuf,
    /// Bytes of a body.
    length: u64,
    read: OwnedFd,
    write: OwnedFd,
    buffer: Vec<u8>,
    begun: u64,
}

/// A file that is being received.
pub(super) struct Upload {
    file: File,
    part: PathBuf,
    name: PathBuf,
    left: u64,
}

impl Uploads {
    pub(super) fn new(folder: &Path, length: u64) -> io::Result<Uploads> {
        let (read, write) = pipe()?;
        fcntl_setpipe_size(&write, PIPE)?;
        let folder = folder.to_owned();
        Ok(Uploads { folder, length, read, write, buffer: vec![0; 4 << 10], begun: 0 })
    }

    /// Receives a head, and what comes with it. None: the client has ended.
    fn begin(&mut self, got: usize) -> io::Result<Option<Upload>> {
        let received = &self.buffer[..got];
        let Some(end) = head_end(received) else { return Ok(None) };
        let target = received.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let target = str::from_utf8(target).map_err(io::Error::other)?;
        self.begun += 1;
        let part = self.folder.join(format!(".{}", self.begun));
        let name = self.folder.join(target.trim_start_matches('/'));
        let mut file = File::create(&part)?;
        file.write_all(&received[end..])?;
        Ok(Some(Upload { file, part, name, left: self.length - (got - end) as u64 }))
    }
}

impl Service for Uploads {
    type Session = Option<Upload>;

    fn drive(
        &mut self,
        socket: &TcpStream,
        session: &mut Option<Upload>,
        _: bool,
    ) -> io::Result<bool> {
        const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);
        loop {
            let Some(upload) = session else {
                let got = done(recv(socket, &mut self.buffer[..], RecvFlags::empty()))?;
                let Some((got, _)) = got else { return Ok(true) };
                *session = self.begin(got)?;
                if session.is_none() {
                    return Ok(false);
                }
                continue;
            };
            let most = upload.left.min(PIPE as u64) as usize;
            let Some(mut held) = done(splice(socket, None, &self.write, None, most, FLAGS))? else {
                return Ok(true);
            };
            if held == 0 {
                return Ok(false);
            }
            upload.left -= held as u64;
            while held > 0 {
                held -= splice(&self.read, None, &upload.file, None, held, SpliceFlags::MOVE)?;
            }
            if upload.left == 0 {
                rename(&upload.part, &upload.name)?;
                *session = None;
                let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
                send(socket, answer, SendFlags::NOSIGNAL)?;
            }
        }
    }
}
