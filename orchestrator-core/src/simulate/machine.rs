//! The machine: cores, memory, a disk that suffers from company, memory bandwidth, other people's load.

/// Load that others put on the machine, over time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Background {
    /// Cores kept busy while it is on.
    pub cores: f64,
    /// Memory in use while it is on, GB.
    pub memory: f64,
    /// From, s.
    pub from: f64,
    /// Until, s.
    pub until: f64,
    /// Comes again after this time, s; 0 = once.
    pub every: f64,
}

impl Background {
    /// Cores and GB in use at a moment.
    #[must_use]
    pub fn at(&self, now: f64) -> (f64, f64) {
        let phase = if self.every > 0.0 { now % self.every } else { now };
        if self.from < phase && phase < self.until { (self.cores, self.memory) } else { (0.0, 0.0) }
    }
}

/// A machine. Units: cores, GB (10⁹ bytes), MB/s, s.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Cores.
    pub cores: f64,
    /// Memory, GB.
    pub memory: f64,
    /// Bandwidth of the disk, MB/s.
    pub disk: f64,
    /// Streams that the disk serves without loss.
    pub disk_streams: f64,
    /// Loss for each further stream: bandwidth / (1 + loss · (streams − disk_streams)).
    pub disk_loss: f64,
    /// Processes that saturate memory bandwidth; n > this many go on at (this / n)^1.3 of their speed.
    pub bandwidth_streams: f64,
    /// Other people's load.
    pub background: Background,
    /// Share of memory in use at which the kernel kills the largest process.
    pub out_of_memory: f64,
    /// Memory in use when nothing of ours runs, GB.
    pub system_memory: f64,
    /// Share of the cores that is not to be passed: time above it is counted.
    pub cpu_threshold: f64,
    /// Share of the memory that is not to be passed: time above it is counted.
    pub memory_threshold: f64,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cores: 16.0,
            memory: 64.0,
            disk: 1000.0,
            disk_streams: 5.0,
            disk_loss: 0.08,
            bandwidth_streams: 8.0,
            background: Background::default(),
            out_of_memory: 0.95,
            system_memory: 1.0,
            cpu_threshold: 0.80,
            memory_threshold: 0.75,
        }
    }
}

/// How fast what runs goes on in one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Share of the wanted CPU time that is given.
    pub(super) cpu: f64,
    /// Share of its speed that a process bound by memory bandwidth has, besides.
    pub(super) bandwidth: f64,
    /// MB/s for each disk stream.
    pub(super) disk: f64,
    /// CPU that a disk stream takes, cores.
    pub(super) disk_cpu: f64,
    /// Cores wanted by all, others included.
    pub(super) wanted: f64,
}

/// What wants to run in one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Demand {
    /// Threads that compute.
    pub(super) threads: f64,
    /// Processes bound by memory bandwidth (their threads are in `threads`).
    pub(super) bandwidth: f64,
    /// Disk streams.
    pub(super) disk: f64,
    /// Processes that wait for something remote, and the cores each of them takes all the same.
    pub(super) waiting: f64,
    pub(super) duty: f64,
    /// MB/s that one disk stream can take.
    pub(super) rate: f64,
}

impl Machine {
    pub(super) fn pace(&self, demand: &Demand, background: f64) -> Pace {
        let bandwidth = self.disk / (1.0 + self.disk_loss * (demand.disk - self.disk_streams).max(0.0));
        let disk = if demand.disk > 0.0 { demand.rate.min(bandwidth / demand.disk) } else { 0.0 };
        let disk_cpu = if demand.rate > 0.0 { 0.1 * disk / demand.rate } else { 0.0 };
        let wanted = demand.threads + demand.duty * demand.waiting + disk_cpu * demand.disk;
        let free = (self.cores - background).max(0.5);
        let over = wanted / free;
        let cpu = if over <= 1.0 { 1.0 } else { 1.0 / over / (1.0 + 0.02 * (over - 1.0)) };
        let crowded = demand.bandwidth > self.bandwidth_streams;
        let bandwidth = if crowded { (self.bandwidth_streams / demand.bandwidth).powf(1.3) } else { 1.0 };
        Pace { cpu, bandwidth, disk, disk_cpu, wanted: wanted + background }
    }
}
