//! What places keep to, whatever comes and goes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::config::scalar::Scalar;
use crate::{AttemptId, Bytes};

const GIB: f64 = (1_u64 << 30) as f64;

/// `nodes` × `cores` × `threads` processors, second threads numbered last, one cache for every `cluster` cores of a node.
fn machine(nodes: u32, cores: u32, threads: u32, cluster: u32) -> Topology {
    let all = nodes * cores;
    let cpu = |id: u32| {
        let core = id % all;
        let (node, within) = (core / cores, core % cores);
        Cpu { id, core, cache: node * cores + within / cluster * cluster, node }
    };
    let memory = Bytes(16 << 30);
    let nodes: Vec<Node> = (0..nodes).map(|id| Node { id, memory }).collect();
    Topology::new((0..all * threads).map(cpu).collect(), &nodes)
}

/// Only some of a machine's processors.
fn part(whole: &Topology, keep: impl Fn(u32) -> bool) -> Topology {
    Topology::new(whole.cpus().iter().filter(|cpu| keep(cpu.id)).copied().collect(), whole.nodes())
}

fn placer(rule: Placement, topology: Topology) -> Placer {
    let mut placer = Placer::new(rule);
    placer.set_topology(topology);
    placer
}

fn needs(cores: f64, memory: f64) -> Needs {
    Needs { cores: Some(cores), memory }
}

/// Places so many attempts; their sets as lists.
fn places(placer: &mut Placer, count: u64) -> Vec<String> {
    (0..count)
        .map(|id| {
            let place = placer.place(AttemptId(id), || needs(1.0, 0.0));
            place.map_or_else(String::new, |place| place.cpus.to_string())
        })
        .collect()
}

#[test]
fn physical_cores_come_first_and_nodes_and_caches_take_turns() {
    let mut core = placer(Placement::Core(1), machine(2, 4, 2, 2));
    assert_eq!(places(&mut core, 8), ["0", "4", "2", "6", "1", "5", "3", "7"]);
    assert_eq!(
        (8..16)
            .map(|id| core.place(AttemptId(id), Needs::default).unwrap().cpus.to_string())
            .collect::<Vec<_>>(),
        ["8", "12", "10", "14", "9", "13", "11", "15"],
        "then their second threads"
    );
    let again = core.place(AttemptId(16), Needs::default).unwrap().cpus.len();
    assert_eq!(again, 1, "then they are shared");
}

#[test]
fn several_for_one_lie_near_each_other_on_different_cores() {
    let mut two = placer(Placement::Core(2), machine(2, 4, 2, 2));
    assert_eq!(places(&mut two, 4), ["0-1", "4-5", "2-3", "6-7"]);
    let mut three = placer(Placement::Core(3), machine(2, 3, 1, 3));
    assert_eq!(places(&mut three, 2), ["0-2", "3-5"]);
    let mut last = placer(Placement::Core(3), machine(2, 8, 1, 8));
    let places = places(&mut last, 5);
    assert_eq!(places[..4], ["0-2", "8-10", "3-5", "11-13"]);
    assert_eq!(places[4], "6-7,14", "three that nobody holds are left, though not on one node");
}

#[test]
fn nodes_take_turns_and_the_emptier_one_comes_next() {
    let mut node = placer(Placement::Auto, machine(2, 2, 2, 2));
    assert_eq!(places(&mut node, 4), ["0-1,4-5", "2-3,6-7", "0-1,4-5", "2-3,6-7"]);
    node.release(AttemptId(1));
    node.release(AttemptId(3));
    let next = |placer: &mut Placer, id, cores, memory| {
        placer.place(AttemptId(id), || needs(cores, memory)).and_then(|place| place.node)
    };
    assert_eq!(next(&mut node, 4, 2.0, 0.0), Some(1), "two are free there");
    assert_eq!(
        next(&mut node, 5, 1.0, 12.0 * GIB),
        Some(1),
        "as many CPUs are free, and fewer attempts are there"
    );
    assert_eq!(next(&mut node, 6, 0.1, 5.0 * GIB), Some(0), "memory is scarcer on the other");
    assert_eq!(next(&mut node, 7, 1.0, 17.0 * GIB), None, "more memory than a node has");
    assert_eq!(next(&mut node, 8, 4.0, 0.0), None, "it would fill a node and may want more");
}

#[test]
fn auto_leaves_free_what_it_does_not_know_and_a_machine_of_one_node() {
    let mut auto = placer(Placement::Auto, machine(2, 4, 1, 4));
    assert_eq!(auto.place(AttemptId(1), Needs::default), None);
    assert!(auto.place(AttemptId(1), || needs(1.0, 0.0)).is_some());
    for rule in [Placement::Auto, Placement::Node, Placement::None, Placement::Core(4)] {
        let mut one = placer(rule, machine(1, 4, 1, 4));
        assert_eq!(one.place(AttemptId(1), || needs(1.0, 0.0)), None, "{rule}");
    }
    let mut none = placer(Placement::None, machine(2, 4, 1, 4));
    assert_eq!(none.place(AttemptId(1), || unreachable!("nothing is to be decided")), None);
    let mut node = placer(Placement::Node, machine(2, 4, 1, 4));
    assert!(node.place(AttemptId(1), Needs::default).is_some(), "who asks for it gets it");
}

#[test]
fn what_was_taken_away_is_not_given_out_and_what_is_held_there_is_not_counted() {
    let whole = machine(1, 4, 1, 4);
    let mut core = placer(Placement::Core(1), whole.clone());
    assert_eq!(places(&mut core, 4), ["0", "1", "2", "3"]);
    core.set_topology(part(&whole, |id| id != 1));
    core.release(AttemptId(2));
    assert_eq!(core.place(AttemptId(9), Needs::default).unwrap().cpus.to_string(), "2");
    core.release(AttemptId(1));
    core.set_topology(whole);
    assert_eq!(core.place(AttemptId(10), Needs::default).unwrap().cpus.to_string(), "1");
}

#[test]
fn a_wish_that_changes_holds_from_the_next_attempt() {
    let mut placer = placer(Placement::None, machine(2, 2, 1, 2));
    assert_eq!(places(&mut placer, 1), [""]);
    placer.set_rule(Placement::Core(1));
    assert_eq!(places(&mut placer, 2), ["0", "2"]);
    placer.set_rule(Placement::Node);
    assert_eq!(placer.place(AttemptId(7), Needs::default).unwrap().node, Some(0));
    assert_eq!(placer.place_of(AttemptId(1)).unwrap().cpus.to_string(), "2");
}

#[test]
fn lists_are_read_as_the_kernel_writes_them() {
    assert_eq!(CpuSet::parse("0-3,8,64-65\n").unwrap().to_string(), "0-3,8,64-65");
    assert_eq!(CpuSet::parse("\n"), Some(CpuSet::default()));
    for wrong in ["3-1", "x", "1-", "0-99999999", "-1"] {
        assert_eq!(CpuSet::parse(wrong), None, "{wrong}");
    }
    assert_eq!(CpuSet::from_iter([65]).words(), [0, 2]);
}

#[test]
fn the_machine_and_the_wish_are_told_in_words() {
    let two = machine(2, 4, 2, 4);
    assert_eq!(summary(&two), "2 NUMA nodes, 8 cores, 16 CPUs, 2 last-level caches");
    assert!(meaning(Placement::Auto, &two).contains("node 1: CPUs 4-7,12-15"));
    let one = machine(1, 2, 1, 2);
    assert_eq!(meaning(Placement::Auto, &one), "auto: left to the kernel, there is one NUMA node");
    assert_eq!(meaning(Placement::Core(2), &one), "core:2: left to the kernel, that is all CPUs there are");
    let unknown = Topology::default();
    assert_eq!(summary(&unknown), "the kernel does not tell which CPUs may be used");
    assert_eq!(meaning(Placement::Core(1), &unknown), "core: left to the kernel, the CPUs are not known");
}

/// Wishes that the schema lets pass.
fn wishes() -> impl Strategy<Value = String> {
    let schema = Placement::describe();
    let pattern = schema["pattern"].as_str().unwrap();
    let within = pattern.strip_prefix('^').and_then(|pattern| pattern.strip_suffix('$')).unwrap();
    proptest::string::string_regex(within).unwrap()
}

#[test]
fn what_is_no_count_is_refused() {
    for wrong in
        ["core:", "core:0", "core:000", "core:+2", "core:-1", "core:1.5", "core:99999999999", "socket", ""]
    {
        assert!(Placement::parse(&wrong.into()).is_err(), "{wrong:?}");
    }
}

/// What happens to a placer.
#[derive(Clone, Debug)]
enum Turn {
    Place(f64, f64),
    /// The attempt at this position among those that hold a place.
    Release(usize),
    /// Processors with this remainder by 5 are gone (7: none is).
    Unplug(u32),
    Wish(Placement),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let rule = prop_oneof![
        Just(Placement::Auto),
        Just(Placement::Node),
        Just(Placement::None),
        (1..5_u32).prop_map(Placement::Core)
    ];
    let turn = prop_oneof![
        6 => (0.0..5.0, 0.0..20.0).prop_map(|(cores, gib)| Turn::Place(cores, gib * GIB)),
        4 => (0..64_usize).prop_map(Turn::Release),
        1 => (0..8_u32).prop_map(Turn::Unplug),
        1 => rule.prop_map(Turn::Wish),
    ];
    proptest::collection::vec(turn, 1..120)
}

proptest! {
    #[test]
    fn places_lie_within_what_may_be_used_and_are_free_again_when_nobody_holds_them(
        nodes in 1..4_u32, cores in 1..9_u32, threads in 1..3_u32, cluster in 1..5_u32, turns in turns(),
    ) {
        let whole = machine(nodes, cores, threads, cluster);
        let (mut topology, mut held, mut next) = (whole.clone(), Vec::new(), 0);
        let mut placer = self::placer(Placement::Core(1), whole.clone());
        for turn in turns {
            match turn {
                Turn::Place(cores, memory) => {
                    next += 1;
                    let place = placer.place(AttemptId(next), || needs(cores, memory)).cloned();
                    if let Some(place) = place {
                        let all = topology.all();
                        prop_assert!(!place.cpus.is_empty() && place.cpus.iter().all(|cpu| all.contains(cpu)));
                        prop_assert!(place.cpus.len() < all.len(), "all of them are no place");
                        if let Some(node) = place.node {
                            prop_assert_eq!(&place.cpus, &topology.of_node(node));
                        }
                        prop_assert_eq!(placer.place_of(AttemptId(next)), Some(&place));
                        held.push(next);
                    }
                }
                Turn::Release(at) if !held.is_empty() => placer.release(AttemptId(held.swap_remove(at % held.len()))),
                Turn::Release(_) => {}
                Turn::Unplug(gone) => {
                    topology = part(&whole, |id| id == 0 || id % 5 != gone);
                    placer.set_topology(topology.clone());
                }
                Turn::Wish(rule) => placer.set_rule(rule),
            }
        }
        held.into_iter().for_each(|id| placer.release(AttemptId(id)));
        for rule in [Placement::Core(1), Placement::Node] {
            placer.set_rule(rule);
            let mut fresh = self::placer(rule, topology.clone());
            prop_assert_eq!(
                placer.place(AttemptId(0), || needs(1.0, 0.0)).cloned(),
                fresh.place(AttemptId(0), || needs(1.0, 0.0)).cloned()
            );
            placer.release(AttemptId(0));
        }
    }

    #[test]
    fn nobody_shares_a_processor_while_another_is_free(
        nodes in 1..4_u32, cores in 1..9_u32, threads in 1..3_u32, count in 1..4_u32, steps in proptest::collection::vec(any::<Option<u8>>(), 1..80),
    ) {
        let topology = machine(nodes, cores, threads, 2);
        let mut placer = placer(Placement::Core(count), topology.clone());
        let mut on: BTreeMap<u32, u32> = topology.cpus().iter().map(|cpu| (cpu.id, 0)).collect();
        let mut held: Vec<(u64, CpuSet)> = Vec::new();
        for (id, step) in (0_u64..).zip(steps) {
            if let Some(at) = step.filter(|_| !held.is_empty()) {
                let (old, cpus) = held.swap_remove(usize::from(at) % held.len());
                placer.release(AttemptId(old));
                cpus.iter().for_each(|cpu| *on.get_mut(&cpu).unwrap() -= 1);
                continue;
            }
            let Some(place) = placer.place(AttemptId(id), Needs::default) else { break };
            let cpus = place.cpus.clone();
            prop_assert_eq!(cpus.len(), count as usize);
            let most = cpus.iter().map(|cpu| on[&cpu]).max().unwrap();
            let spared = on.iter().filter(|(cpu, _)| !cpus.contains(**cpu)).map(|(_, on)| *on).min();
            prop_assert!(spared.is_none_or(|spared| most <= spared), "{} although {:?}", cpus, on);
            cpus.iter().for_each(|cpu| *on.get_mut(&cpu).unwrap() += 1);
            held.push((id, cpus));
        }
    }

    #[test]
    fn without_departures_nodes_and_processors_are_balanced_within_one(
        nodes in 2..5_u32, cores in 1..9_u32, threads in 1..3_u32, count in 1..60_u64,
    ) {
        for rule in [Placement::Core(1), Placement::Node] {
            let topology = machine(nodes, cores, threads, 2);
            let mut placer = placer(rule, topology.clone());
            let mut on_cpu: BTreeMap<u32, u32> = topology.cpus().iter().map(|cpu| (cpu.id, 0)).collect();
            let mut on_node = vec![0; nodes as usize];
            for id in 0..count {
                let place = placer.place(AttemptId(id), || needs(1.0, 1e6)).unwrap();
                on_node[topology.cpus()[place.cpus.iter().next().unwrap() as usize].node as usize] += 1;
                place.cpus.iter().for_each(|cpu| *on_cpu.get_mut(&cpu).unwrap() += 1);
            }
            let within_one = |counts: Vec<u32>| counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1;
            prop_assert!(within_one(on_node), "{}", rule);
            prop_assert!(within_one(on_cpu.into_values().collect()), "{}", rule);
        }
    }

    #[test]
    fn what_the_schema_takes_is_understood(wish in wishes()) {
        prop_assert!(Placement::parse(&wish.as_str().into()).is_ok(), "{wish:?}");
    }

    #[test]
    fn sets_are_what_was_put_in(cpus in proptest::collection::btree_set(0..300_u32, 0..40)) {
        let set: CpuSet = cpus.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), cpus.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(set.len(), cpus.len());
        prop_assert_eq!(CpuSet::parse(&set.to_string()), Some(set.clone()));
        prop_assert!(set.words().last() != Some(&0));
    }
}
