//! A child's standard streams: opened before its birth.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use orchestrator_core::scheduler::SpawnFault;
use orchestrator_ports::{InputSource, Launch, OutputSink};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::capture::Capture;
use crate::fault;

/// One stream as the child gets it.
#[derive(Debug)]
pub(crate) enum Stream {
    /// `/dev/null`.
    Null,
    /// This file or end of a pipe.
    Open(OwnedFd),
}

impl Stream {
    /// For the child's birth; `null` is `/dev/null`.
    pub(crate) fn raw(&self, null: &File) -> RawFd {
        match self {
            Self::Null => null.as_raw_fd(),
            Self::Open(fd) => fd.as_raw_fd(),
        }
    }
}

impl From<Stream> for Stdio {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Null => Self::null(),
            Stream::Open(fd) => fd.into(),
        }
    }
}

/// All streams of a child and what is captured of them.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Standard input, output, error.
    pub(crate) child: [Stream; 3],
    /// The reading ends of captured output and error.
    pub(crate) captures: [Option<Capture>; 2],
}

impl Streams {
    /// Opens what the launch asks for.
    ///
    /// # Errors
    /// The fault, told apart.
    pub(crate) fn open(launch: &Launch) -> Result<Self, SpawnFault> {
        let (stdout, out) = output(&launch.stdout)?;
        let (stderr, err) = output(&launch.stderr)?;
        Ok(Self { child: [input(&launch.stdin)?, stdout, stderr], captures: [out, err] })
    }
}

/// Opens standard input. Never blocks, whatever the path names.
fn input(source: &InputSource) -> Result<Stream, SpawnFault> {
    let InputSource::File(path) = source else { return Ok(Stream::Null) };
    let fail = |error: io::Error| fault::of_input(&error, path);
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    blocking(&file).map_err(fail)?;
    Ok(Stream::Open(file.into()))
}

/// Opens a file or a pipe for standard output or error.
fn output(sink: &OutputSink) -> Result<(Stream, Option<Capture>), SpawnFault> {
    match sink {
        OutputSink::Null => Ok((Stream::Null, None)),
        OutputSink::File(path) => {
            let fail = |error: io::Error| fault::of_output(&error, path);
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK);
            let file = options.open(path).map_err(fail)?;
            blocking(&file).map_err(fail)?;
            Ok((Stream::Open(file.into()), None))
        }
        OutputSink::Capture { path, max_bytes } => {
            let (reader, writer) =
                pipe_with(PipeFlags::CLOEXEC).map_err(|error| fault::of_machine("pipe", &error.into()))?;
            Ok((Stream::Open(writer), Some(Capture::new(reader, path.clone(), *max_bytes))))
        }
    }
}

/// Takes back the flag that kept the opening from blocking: the child expects an ordinary file.
fn blocking(file: &File) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(file.as_fd())?;
    Ok(fcntl_setfl(file.as_fd(), flags - OFlags::NONBLOCK)?)
}
