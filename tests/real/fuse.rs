//! A file system with one file, `slow`, that is read when the test says so: the part of
//! `linux/fuse.h` that takes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::process::skip;

const ROOT: u64 = 1;
const SLOW: u64 = 2;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

const ENOENT: i32 = 2;
const ENOSYS: i32 = 38;

/// How far it has come.
#[derive(Default)]
struct Progress {
    asked_to_read: bool,
    reads: bool,
}

/// The file system, mounted.
pub(crate) struct SlowDisk {
    at: PathBuf,
    progress: Arc<(Mutex<Progress>, Condvar)>,
}

impl SlowDisk {
    /// Mounts it on a directory. `None`, and the test ends, where nobody may do that.
    pub(crate) fn mount(at: &Path, content: Vec<u8>) -> Option<SlowDisk> {
        let device = match File::options().read(true).write(true).open("/dev/fuse") {
            Ok(device) => device,
            Err(error) => {
                skip(&format!("opening /dev/fuse: {error}"));
                return None;
            }
        };
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let options = std::ffi::CString::new(options).expect("text");
        if let Err(error) = mount("slow", at, "fuse", MountFlags::empty(), Some(&*options)) {
            skip(&format!("mounting a file system of one's own: {error}"));
            return None;
        }
        let progress = Arc::default();
        let disk = SlowDisk { at: at.to_owned(), progress: Arc::clone(&progress) };
        thread::spawn(move || serve(&Arc::new(device), &content.into(), &progress));
        Some(disk)
    }

    /// Waits until somebody reads the file. It has no answer then.
    pub(crate) fn wait_for_read(&self) {
        let (progress, changed) = &*self.progress;
        let progress = progress.lock().expect("no panic");
        drop(changed.wait_while(progress, |progress| !progress.asked_to_read));
    }

    /// Reads what is asked for, from now on.
    pub(crate) fn go_on(&self) {
        let (progress, changed) = &*self.progress;
        progress.lock().expect("no panic").reads = true;
        changed.notify_all();
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        self.go_on();
        // Whoever has the file open keeps it.
        let _ = unmount(&self.at, UnmountFlags::DETACH);
    }
}

/// Answers until it is unmounted.
fn serve(device: &Arc<File>, content: &Arc<[u8]>, progress: &Arc<(Mutex<Progress>, Condvar)>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(len) = (&**device).read(&mut buffer) {
        let request = &buffer[..len];
        let (opcode, unique) = (word(request, 4), long(request, 8));
        let (node, rest) = (long(request, 16), &request[40..]);
        let answer = match opcode {
            FORGET | BATCH_FORGET | INTERRUPT => continue,
            INIT => Ok(init()),
            LOOKUP if rest == b"slow\0" => Ok([entry(), attributes(SLOW, content.len())].concat()),
            LOOKUP => Err(ENOENT),
            GETATTR => Ok([words(&[1, 0]), attributes(node, content.len())].concat()),
            OPEN | OPENDIR => Ok(words(&[0, 0])),
            RELEASE | RELEASEDIR | FLUSH => Ok(Vec::new()),
            READ => {
                let (offset, size) = (long(rest, 8) as usize, word(rest, 16) as usize);
                let (device, content) = (Arc::clone(device), Arc::clone(content));
                let progress = Arc::clone(progress);
                thread::spawn(move || {
                    let (progress, changed) = &*progress;
                    let mut now = progress.lock().expect("no panic");
                    now.asked_to_read = true;
                    changed.notify_all();
                    drop(changed.wait_while(now, |now| !now.reads));
                    let start = offset.min(content.len());
                    let end = (offset + size).min(content.len());
                    answer_with(&device, unique, Ok(content[start..end].to_vec()));
                });
                continue;
            }
            _ => Err(ENOSYS),
        };
        answer_with(device, unique, answer);
    }
}

fn answer_with(mut device: &File, unique: u64, answer: Result<Vec<u8>, i32>) {
    let (error, body) = match answer {
        Ok(body) => (0, body),
        Err(errno) => (-errno, Vec::new()),
    };
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(error.to_ne_bytes());
    message.extend(unique.to_ne_bytes());
    message.extend(body);
    // Who has asked may be gone.
    let _ = device.write(&message);
}

/// `fuse_init_out`: version 7.31, no flags, writes of up to 64 KiB.
fn init() -> Vec<u8> {
    let head = [7_u32, 31, 128 << 10, 0, 0, 64 << 10, 1];
    let mut out: Vec<u8> = head.iter().flat_map(|word| word.to_ne_bytes()).collect();
    out.resize(64, 0);
    out
}

/// `fuse_entry_out` without the attributes: the node, and that all is so for a second.
fn entry() -> Vec<u8> {
    words(&[SLOW, 0, 1, 1, 0])
}

/// `fuse_attr`.
fn attributes(node: u64, len: usize) -> Vec<u8> {
    const FILE: u32 = 0o100_444;
    const DIRECTORY: u32 = 0o040_555;
    let (mode, len) = if node == ROOT { (DIRECTORY, 0) } else { (FILE, len as u64) };
    let mut out = words(&[node, len, len.div_ceil(512), 0, 0, 0]);
    let rest = [0_u32, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
    out.extend(rest.iter().flat_map(|word| word.to_ne_bytes()));
    out
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}
