//! How a message travels: as packets of a SOCK_SEQPACKET socket, each of which begins with a byte that says whether more
//! of the same message follows.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg, socketpair,
};
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bytes of one packet: far below what the kernel takes at once (`net.core.wmem_default`, 208 KiB).
const PACKET: usize = 64 << 10;
/// Longest message in bytes: 10,000 values with the longest names are 2.1 MB, a state may be larger.
pub(super) const MESSAGE: usize = 16 << 20;

const LAST: u8 = 0;
const MORE: u8 = 1;

/// Two ends, neither of which is inherited.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Writes a message as it will travel.
pub(super) fn encode(message: &impl Serialize, buffer: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut buffer = buffer;
    buffer.clear();
    let bytes = postcard::to_extend(message, buffer).map_err(io::Error::other)?;
    if bytes.len() <= MESSAGE { Ok(bytes) } else { Err(io::ErrorKind::FileTooLarge.into()) }
}

/// Reads a message.
pub(super) fn decode<'m, M: Deserialize<'m>>(bytes: &'m [u8]) -> Result<M, postcard::Error> {
    let (message, rest) = postcard::take_from_bytes(bytes)?;
    if rest.is_empty() { Ok(message) } else { Err(postcard::Error::DeserializeBadEncoding) }
}

/// Sends a message; waits for room in the socket, at most until `until`.
pub(super) fn send(socket: BorrowedFd<'_>, message: &[u8], until: Option<Instant>) -> io::Result<()> {
    let mut chunks = message.chunks(PACKET - 1).peekable();
    while let Some(chunk) = chunks.next() {
        let flag = [if chunks.peek().is_some() { MORE } else { LAST }];
        send_packet(socket, &[IoSlice::new(&flag), IoSlice::new(chunk)], until)?;
    }
    Ok(())
}

fn send_packet(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>], until: Option<Instant>) -> io::Result<()> {
    let wait = if until.is_some() { SendFlags::DONTWAIT } else { SendFlags::empty() };
    loop {
        let mut nothing = SendAncillaryBuffer::default();
        match sendmsg(socket, parts, &mut nothing, SendFlags::NOSIGNAL | wait) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                if wait_for(&[(socket, PollFlags::OUT)], left)?.is_none() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until one of the descriptors is ready; which ones are, or nothing when the time is over. The time is kept to
/// the nanosecond and never cut short.
pub(super) fn wait_for<const N: usize>(
    descriptors: &[(BorrowedFd<'_>, PollFlags); N],
    left: Option<Duration>,
) -> io::Result<Option<[bool; N]>> {
    let mut polled = descriptors.map(|(descriptor, flags)| PollFd::from_borrowed_fd(descriptor, flags));
    let left = left.map(|left| Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }));
    match poll(&mut polled, left.as_ref()) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(polled.map(|descriptor| !descriptor.revents().is_empty()))),
        // As if nothing were ready: whoever waits looks at its clock and waits again.
        Err(rustix::io::Errno::INTR) => Ok(Some([false; N])),
        Err(error) => Err(error.into()),
    }
}

/// Hands descriptors over, in a packet of their own.
pub(super) fn send_descriptors(socket: BorrowedFd<'_>, descriptors: &[BorrowedFd<'_>; 2]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    sendmsg(socket, &[IoSlice::new(&[LAST])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes the descriptors of [`send_descriptors`].
pub(super) fn receive_descriptors(socket: BorrowedFd<'_>) -> io::Result<[OwnedFd; 2]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors.collect::<Vec<_>>()),
        _ => None,
    });
    rights.unwrap_or_default().try_into().map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Puts packets together.
pub(super) struct Inbox {
    packet: Box<[u8]>,
    /// Length of the packet that is a message alone.
    alone: Option<usize>,
    /// Length of the last packet.
    length: usize,
    whole: Vec<u8>,
    complete: bool,
}

/// What came of looking for a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing has come.
    Nothing,
    /// A packet of a longer message.
    Part,
    /// The last packet: [`Inbox::message`] has the message.
    Message,
    /// The other end is gone, or sends no more.
    Gone,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { packet: vec![0; PACKET].into(), alone: None, length: 0, whole: Vec::new(), complete: false }
    }

    /// Takes one packet. Descriptors that come with it are closed by the kernel.
    ///
    /// # Errors
    /// The socket's, and a message or packet that is too long.
    pub(super) fn take(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<Taken> {
        if self.complete || self.alone.is_some() {
            self.whole.clear();
            (self.complete, self.alone) = (false, None);
        }
        self.length = 0;
        let length = match recv(socket, &mut *self.packet, flags | RecvFlags::TRUNC) {
            Ok((_, length)) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(Taken::Nothing),
            Err(rustix::io::Errno::CONNRESET) => return Ok(Taken::Gone),
            Err(error) => return Err(error.into()),
        };
        self.length = length;
        let packet = self.packet.get(..length).ok_or(io::ErrorKind::FileTooLarge)?;
        let Some((flag, bytes)) = packet.split_first() else { return Ok(Taken::Gone) };
        if *flag != LAST && *flag != MORE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if *flag == LAST && self.whole.is_empty() {
            self.alone = Some(length);
            return Ok(Taken::Message);
        }
        if self.whole.len() + bytes.len() > MESSAGE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.whole.extend_from_slice(bytes);
        self.complete = *flag == LAST;
        Ok(if self.complete { Taken::Message } else { Taken::Part })
    }

    /// Bytes of the packet that was taken last; 0 where there was none.
    pub(super) fn packet_bytes(&self) -> usize {
        self.length
    }

    /// The message that the last packet ended.
    pub(super) fn message(&self) -> &[u8] {
        match self.alone {
            Some(length) => &self.packet[1..length],
            None => &self.whole,
        }
    }

    /// Waits for a message; nothing when the other end is gone.
    pub(super) fn next(&mut self, socket: impl AsFd) -> io::Result<Option<&[u8]>> {
        loop {
            match self.take(socket.as_fd(), RecvFlags::empty())? {
                Taken::Message => return Ok(Some(self.message())),
                Taken::Gone => return Ok(None),
                Taken::Part | Taken::Nothing => {}
            }
        }
    }
}

/// Whether it is a socket of the kind that [`pair`] makes.
pub(super) fn is_ours(socket: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_type(socket).is_ok_and(|kind| kind == SocketType::SEQPACKET)
}

#[cfg(test)]
mod tests {
    use super::{Inbox, MESSAGE, Taken, decode, encode, pair, send};
    use rustix::net::{RecvFlags, SendFlags};
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    #[test]
    fn messages_of_any_length_arrive_whole_and_in_order() {
        let (ours, theirs) = pair().unwrap();
        let lengths = [0_usize, 1, 65_534, 65_535, 65_536, 1_000_000];
        let sender = std::thread::spawn(move || {
            for length in lengths {
                let message = encode(&vec![7_u8; length], Vec::new()).unwrap();
                send(theirs.as_fd(), &message, None).unwrap();
            }
        });
        let mut inbox = Inbox::new();
        for length in lengths {
            let message: Vec<u8> = decode(inbox.next(&ours).unwrap().unwrap()).unwrap();
            assert_eq!(message, vec![7; length]);
        }
        sender.join().unwrap();
        assert!(inbox.next(&ours).unwrap().is_none(), "the other end is gone");
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused() {
        assert!(encode(&vec![0_u8; MESSAGE + 1], Vec::new()).is_err());
        assert!(decode::<u8>(&[1, 2]).is_err(), "something follows");
        let (ours, theirs) = pair().unwrap();
        rustix::net::send(&theirs, &[0; 100_000], SendFlags::empty()).unwrap();
        assert!(Inbox::new().take(ours.as_fd(), RecvFlags::empty()).is_err(), "a packet that is too long");
        let flood = std::thread::spawn(move || {
            while rustix::net::send(&theirs, &[1; 60_000], SendFlags::NOSIGNAL).is_ok() {}
        });
        let mut inbox = Inbox::new();
        let end = loop {
            match inbox.take(ours.as_fd(), RecvFlags::empty()) {
                Ok(Taken::Part) => {}
                other => break other,
            }
        };
        assert!(end.is_err(), "a message without an end");
        drop(ours);
        flood.join().unwrap();
    }

    #[test]
    fn who_does_not_read_is_not_waited_for() {
        let (ours, _theirs) = pair().unwrap();
        let message = vec![0; 4 << 20];
        let sent = send(ours.as_fd(), &message, Some(Instant::now() + Duration::from_millis(50)));
        assert_eq!(sent.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }
}
