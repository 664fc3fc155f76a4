//! The kernel's TCP tables, per network namespace.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a table is reused: the processes of one round share it.
const FRESH: Duration = Duration::from_millis(250);
/// `TCP_ESTABLISHED` and `TCP_LISTEN` of the kernel's `include/net/tcp_states.h`.
const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// One line of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    local_port: u16,
    remote_port: u16,
    state: u8,
    inode: u64,
}

impl Connection {
    pub(crate) fn is_established(&self) -> bool {
        self.state == ESTABLISHED
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.state == LISTEN
    }

    pub(crate) fn is_on(&self, port: u16) -> bool {
        self.local_port == port || self.remote_port == port
    }
}

/// All TCP sockets of one network namespace.
pub(crate) struct Table {
    read: Instant,
    connections: Vec<Connection>,
    by_inode: HashMap<u64, usize>,
}

impl Table {
    pub(crate) fn connections(&self) -> &[Connection] {
        &self.connections
    }

    pub(crate) fn by_inode(&self, inode: u64) -> Option<&Connection> {
        self.by_inode.get(&inode).map(|index| &self.connections[*index])
    }

    /// `net` is a directory such as `/proc/PID/net`. A kernel without IPv6 has no `tcp6`.
    fn read(net: &str) -> io::Result<Self> {
        let mut connections = parse(&fs::read_to_string(format!("{net}/tcp"))?);
        connections.extend(parse(&fs::read_to_string(format!("{net}/tcp6")).unwrap_or_default()));
        // Sockets that no process holds any more (TIME_WAIT) have the inode 0.
        let held = connections.iter().enumerate().filter(|(_, connection)| connection.inode != 0);
        let by_inode = held.map(|(index, connection)| (connection.inode, index)).collect();
        Ok(Self { read: Instant::now(), connections, by_inode })
    }
}

/// The tables by namespace.
#[derive(Default)]
pub(crate) struct Tables(HashMap<PathBuf, Table>);

impl Tables {
    /// The table of the namespace that a process lives in.
    pub(crate) fn of_process(&mut self, pid: u32) -> io::Result<&Table> {
        self.at(&format!("/proc/{pid}"))
    }

    /// The table of the host's own namespace.
    pub(crate) fn of_this_process(&mut self) -> io::Result<&Table> {
        self.at("/proc/self")
    }

    fn at(&mut self, process: &str) -> io::Result<&Table> {
        self.0.retain(|_, table| table.read.elapsed() < FRESH);
        let namespace = fs::read_link(format!("{process}/ns/net"))?;
        match self.0.entry(namespace) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                Ok(entry.insert(Table::read(&format!("{process}/net"))?))
            }
        }
    }
}

/// Reads the table's text (`proc_net_tcp`, kernel documentation); lines that make no sense are skipped.
///
/// The kernel hands the table out in pieces, and where others connect meanwhile a line may come twice: a socket (`inode`
/// other than 0) counts once.
fn parse(text: &str) -> Vec<Connection> {
    let mut seen = HashSet::new();
    let mut found: Vec<Connection> = text.lines().skip(1).filter_map(parse_line).collect();
    found.retain(|connection| connection.inode == 0 || seen.insert(connection.inode));
    found
}

/// `0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 12345 …`
fn parse_line(line: &str) -> Option<Connection> {
    let mut columns = line.split_ascii_whitespace();
    let (local, remote, state) = (columns.nth(1)?, columns.next()?, columns.next()?);
    Some(Connection {
        local_port: port(local)?,
        remote_port: port(remote)?,
        state: u8::from_str_radix(state, 16).ok()?,
        inode: columns.nth(5)?.parse().ok()?,
    })
}

fn port(address: &str) -> Option<u16> {
    u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::{Connection, Tables, parse};
    use std::net::{TcpListener, TcpStream};

    const TEXT: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0 20 4 30 10 -1
   2: 0100007F:C351 0100007F:1F90 06 00000000:00000000 03:00000F00 00000000     0        0 0 3 0
   3: rubbish
";

    #[test]
    fn lines_become_connections() {
        let found = parse(TEXT);
        let listening = Connection { local_port: 8080, remote_port: 0, state: 10, inode: 101 };
        assert_eq!(found[0], listening);
        assert!(found[0].is_listening() && !found[0].is_established());
        assert!(found[1].is_established() && found[1].is_on(8080) && found[1].is_on(50000));
        assert_eq!((found[2].inode, found.len()), (0, 3));
    }

    #[test]
    fn a_socket_that_is_told_twice_counts_once() {
        let line = TEXT.lines().nth(2).unwrap();
        assert_eq!(parse(&format!("{TEXT}{line}\n")).len(), 3);
    }

    #[test]
    fn real_connections_of_both_families_are_found() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            // A machine without IPv6 has nothing to find.
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let (server, _) = listener.accept().unwrap();
            let mut tables = Tables::default();
            let table = tables.of_process(std::process::id()).unwrap();
            // Others of this machine may use the same number.
            let ours = sockets_of_this_process();
            let own = table.connections().iter().filter(|found| ours.contains(&found.inode));
            let on_port = || own.clone().filter(|found| found.is_on(local.port()));
            assert_eq!(on_port().filter(|found| found.is_established()).count(), 2, "{address}");
            assert_eq!(on_port().filter(|found| found.is_listening()).count(), 1, "{address}");
            drop((client, server));
        }
    }

    /// Inodes of the sockets that this process holds.
    fn sockets_of_this_process() -> Vec<u64> {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = links.filter_map(|link| std::fs::read_link(link.path()).ok());
        let inode = |target: std::path::PathBuf| {
            target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
        };
        targets.filter_map(inode).collect()
    }
}
