use std::path::PathBuf;

use super::*;

/// A tree such as /sys/devices/system.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, path: &str, text: &str) -> &Self {
        let path: PathBuf = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn cpu(&self, id: u32, threads: &str, cache: &str) -> &Self {
        self.write(&format!("cpu/cpu{id}/topology/core_cpus_list"), &format!("{threads}\n"));
        self.write(&format!("cpu/cpu{id}/cache/index0/level"), "1\n");
        self.write(&format!("cpu/cpu{id}/cache/index0/shared_cpu_list"), &format!("{threads}\n"));
        self.write(&format!("cpu/cpu{id}/cache/index1/level"), "3\n");
        self.write(&format!("cpu/cpu{id}/cache/index1/shared_cpu_list"), &format!("{cache}\n"))
    }

    fn node(&self, id: u32, cpus: &str, kilobytes: u64) -> &Self {
        self.write(&format!("node/node{id}/cpulist"), &format!("{cpus}\n"));
        let meminfo = format!("Node {id} MemTotal:       {kilobytes} kB\nNode {id} MemFree:  1 kB\n");
        self.write(&format!("node/node{id}/meminfo"), &meminfo)
    }

    /// 2 nodes × 8 cores × 2 threads, numbered as x86 does: the second threads come last.
    fn two_nodes() -> Self {
        let tree = Self::new();
        tree.write("cpu/online", "0-31\n").write("node/online", "0-1\n");
        for id in 0..32 {
            let (core, node) = (id % 16, id % 16 / 8);
            let cache = format!("{}-{},{}-{}", node * 8, node * 8 + 7, 16 + node * 8, 23 + node * 8);
            tree.cpu(id, &format!("{core},{}", core + 16), &cache);
        }
        tree.node(0, "0-7,16-23", 1000).node(1, "8-15,24-31", 2000);
        tree
    }

    fn read(&self, processors: impl IntoIterator<Item = usize>) -> Topology {
        read(self.0.path(), &processors.into_iter().collect::<Vec<_>>())
    }
}

#[test]
fn nodes_cores_threads_and_caches_are_told_apart() {
    let found = Tree::two_nodes().read(0..32);
    assert_eq!((found.cpus().len(), found.cores(), found.caches()), (32, 16, 2));
    let nodes = [Node { id: 0, memory: Bytes(1000 << 10) }, Node { id: 1, memory: Bytes(2000 << 10) }];
    assert_eq!(found.nodes(), nodes);
    assert_eq!(found.of_node(1).to_string(), "8-15,24-31");
    assert_eq!(found.cpus()[25], Cpu { id: 25, core: 9, cache: 8, node: 1 });
}

#[test]
fn only_what_we_may_use_and_what_is_online_counts() {
    let tree = Tree::two_nodes();
    let found = tree.read([3, 19, 20]);
    assert_eq!((found.all().to_string().as_str(), found.cores(), found.nodes().len()), ("3,19-20", 2, 1));
    tree.write("cpu/online", "0-19,21-31\n");
    assert_eq!(tree.read([3, 19, 20]).all().to_string(), "3,19");
}

#[test]
fn nodes_without_processors_hold_nobody_and_numbers_may_be_sparse() {
    let tree = Tree::new();
    tree.write("cpu/online", "0,4,64,68\n").write("node/online", "0,2,8\n");
    tree.cpu(0, "0", "0,4").cpu(4, "4", "0,4").cpu(64, "64", "64,68").cpu(68, "68", "64,68");
    tree.node(0, "0,4", 10).node(2, "", 99).node(8, "64,68", 10);
    let found = tree.read([0, 4, 64, 68]);
    assert_eq!(found.nodes().iter().map(|node| node.id).collect::<Vec<_>>(), [0, 8]);
    assert_eq!((found.cores(), found.caches(), found.of_node(8).to_string().as_str()), (4, 2, "64,68"));
}

#[test]
fn where_nothing_is_told_there_is_one_node_of_plain_cores() {
    let found = read(Path::new("/nowhere"), &[0, 1, 5]);
    assert_eq!(
        (found.nodes(), found.cores(), found.caches()),
        (&[Node { id: 0, memory: Bytes(0) }][..], 3, 3)
    );
    let tree = Tree::new();
    tree.write("cpu/online", "rubbish\n").write("node/online", "9-1\n");
    tree.write("cpu/cpu1/topology/thread_siblings_list", "0-1\n");
    tree.write("cpu/cpu5/topology/core_cpus_list", "0\n");
    let found = tree.read([0, 1, 5]);
    assert_eq!((found.cpus().len(), found.nodes().len()), (3, 1));
    assert_eq!(found.cpus()[2].core, 5, "a group that does not hold its own processor is none");
}

#[test]
fn this_machine_has_the_processors_of_our_mask() {
    let found = usable();
    assert_eq!(found.cpus().iter().map(|cpu| cpu.id as usize).collect::<Vec<_>>(), affinity());
    assert!(found.nodes().iter().all(|node| !found.of_node(node.id).is_empty()));
}
