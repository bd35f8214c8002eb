//! When the machine runs short of memory: what the kernel says about it, and how serious that is.
//!
//! A box without swap is well until it is not: when nothing can be freed any more the kernel ends the largest program,
//! which may be the daemon, and everybody loses everything without a word. So the daemon looks ahead, at the whole
//! machine and at the control groups that it is in, and begins to refuse and to forget in time.
//! What it is not: a limit of its own memory; that is `limits.mailbox`.

use base::Instant;
use std::time::Duration;

/// Below this much, a sixteenth of what there is at most, memory is short.
const SHORT: u64 = 64 << 20;
/// Below this much, a fortieth of what there is at most, it is exhausted.
const EXHAUSTED: u64 = 24 << 20;
/// So long it has to be better before it is believed, and by so much: half more than where it became worse.
const CALM: Duration = Duration::from_secs(10);

/// How serious it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is enough.
    #[default]
    Enough,
    /// Nothing more should be taken in.
    Short,
    /// What can be done without has to go.
    Exhausted,
}

/// What is left of a machine's memory, or of a control group's, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// What programs can have before one of them has to end.
    pub available: u64,
    /// All that there is.
    pub total: u64,
}

impl Room {
    /// From `/proc/meminfo` (proc(5)).
    #[must_use]
    pub fn of_machine(meminfo: &str) -> Option<Self> {
        let field = |name: &str| {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { available: field("MemAvailable")?, total: field("MemTotal")? })
    }

    /// From `memory.max`, `memory.current` and `memory.stat` of a control group; `None` when it has no limit.
    ///
    /// What the kernel can drop when it is asked, files that were read, is not counted as used.
    #[must_use]
    pub fn of_group(max: &str, current: &str, stat: &str) -> Option<Self> {
        let total: u64 = max.trim().parse().ok()?;
        let current: u64 = current.trim().parse().ok()?;
        let files = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse().ok());
        let used = current.saturating_sub(files.unwrap_or(0));
        Some(Self { available: total.saturating_sub(used), total })
    }

    /// How serious it is where what counts as little is larger by `more` halves.
    fn level(self, more: u64) -> Level {
        let below = |most: u64, share: u64| {
            let limit = most.min(self.total / share);
            self.available < limit.saturating_add(limit / 2 * more)
        };
        match (below(EXHAUSTED, 40), below(SHORT, 16)) {
            (true, _) => Level::Exhausted,
            (false, true) => Level::Short,
            (false, false) => Level::Enough,
        }
    }
}

/// Watches, and does not change its mind with every breath.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    level: Level,
    better_since: Option<Instant>,
}

impl Watch {
    /// This much is left, of the machine and of each group; how serious that is.
    pub fn handle_rooms(&mut self, rooms: &[Room], now: Instant) -> Level {
        let worst = |more| rooms.iter().map(|room| room.level(more)).max().unwrap_or_default();
        let (at_once, surely) = (worst(0), worst(1));
        if at_once >= self.level {
            (self.level, self.better_since) = (at_once, None);
        } else if surely >= self.level {
            self.better_since = None;
        } else if now >= *self.better_since.get_or_insert(now) + CALM {
            (self.level, self.better_since) = (surely, None);
        }
        self.level
    }
}

/// Connections whose going is worth looking at what they leave: some 60 KiB each.
const FEW: usize = 64;
/// For so many looks nobody must have gone: those who come last, or give up, still hold memory meanwhile.
const STILL: u8 = 3;

/// Notices that a crowd has gone, after which the heap holds much that nobody uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ebb {
    /// The most at a time since the last ebb.
    most: usize,
    before: usize,
    still: u8,
}

impl Ebb {
    /// So many connections and sessions are open. Says whether half of them have gone since the last time that it
    /// did, and no more are going.
    pub fn handle_open(&mut self, open: usize) -> bool {
        let going = open < std::mem::replace(&mut self.before, open);
        self.still = if going { 0 } else { self.still.saturating_add(1) };
        self.most = self.most.max(open);
        let gone = open + FEW <= self.most && open <= self.most / 2 && self.still >= STILL;
        if gone {
            self.most = open;
        }
        gone
    }
}

/// The paths below the mount of control groups that this process is in, itself first, from `/proc/self/cgroup`
/// (cgroups(7)); the root of all has no limit.
#[must_use]
pub fn groups(cgroup: &str) -> Vec<&str> {
    let own =
        cgroup.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().trim_end_matches('/');
    if own.is_empty() || own.split('/').any(|part| part.is_empty() || part == "..") {
        return Vec::new();
    }
    let ends = own.match_indices('/').map(|(at, _)| at).chain([own.len()]);
    let mut paths: Vec<&str> = ends.filter_map(|end| own.get(..end)).take(MOST_GROUPS).collect();
    paths.reverse();
    paths
}

/// Groups within groups that are looked at.
const MOST_GROUPS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn room(available_mib: u64, total_mib: u64) -> Room {
        Room { available: available_mib * MIB, total: total_mib * MIB }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1000)
    }

    #[test]
    fn the_kernel_is_understood() {
        let meminfo =
            "MemTotal:        8388608 kB\nMemFree:          102400 kB\nMemAvailable:    4194304 kB\n";
        assert_eq!(Room::of_machine(meminfo), Some(room(4096, 8192)));
        for wrong in
            ["", "MemTotal: 1 kB\n", "MemTotal: x kB\nMemAvailable: 1 kB\n", "MemAvailable: 1\nMemTotal: 2\n"]
        {
            assert_eq!(Room::of_machine(wrong), None, "{wrong}");
        }
        let huge = format!("MemTotal: {0} kB\nMemAvailable: {0} kB\n", u64::MAX);
        assert_eq!(Room::of_machine(&huge), None);
        let (max, current) = (format!("{}\n", 100 * MIB), format!("{}\n", 90 * MIB));
        let stat = format!("anon 1\ninactive_file {}\nslab 3\n", 40 * MIB);
        assert_eq!(Room::of_group(&max, &current, &stat), Some(room(50, 100)));
        assert_eq!(Room::of_group(&max, &current, ""), Some(room(10, 100)));
        assert_eq!(Room::of_group("max\n", &current, &stat), None, "no limit");
        assert_eq!(
            Room::of_group("1\n", &current, ""),
            Some(Room { available: 0, total: 1 }),
            "over its limit"
        );
    }

    #[test]
    fn a_process_is_in_a_group_and_in_all_around_it() {
        let text = "1:cpu:/x\n0::/system.slice/bulle.service\n";
        assert_eq!(groups(text), ["system.slice/bulle.service", "system.slice"]);
        for none in ["", "0::/\n", "1:memory:/a\n", "0::/../../x\n", "0::/a//b\n"] {
            assert_eq!(groups(none), Vec::<&str>::new(), "{none}");
        }
        assert_eq!(groups(&format!("0::{}\n", "/a".repeat(99))).len(), MOST_GROUPS);
    }

    #[test]
    fn little_is_a_share_of_a_small_machine_and_an_amount_of_a_large_one() {
        for (available, total, level) in [
            (64, 8192, Level::Enough),
            (63, 8192, Level::Short),
            (23, 8192, Level::Exhausted),
            (16, 256, Level::Enough),
            (15, 256, Level::Short),
            (6, 256, Level::Exhausted),
            (0, 0, Level::Enough),
        ] {
            assert_eq!(room(available, total).level(0), level, "{available} of {total}");
        }
    }

    #[test]
    fn it_is_worse_at_once_and_better_only_for_a_while() {
        let mut watch = Watch::default();
        assert_eq!(watch.handle_rooms(&[room(4000, 8192), room(60, 64)], at(0)), Level::Enough);
        assert_eq!(
            watch.handle_rooms(&[room(4000, 8192), room(3, 64)], at(1)),
            Level::Short,
            "the tightest counts"
        );
        // A little better is not better.
        assert_eq!(watch.handle_rooms(&[room(5, 64)], at(100)), Level::Short);
        assert_eq!(watch.handle_rooms(&[room(60, 64)], at(101)), Level::Short);
        assert_eq!(watch.handle_rooms(&[room(5, 64)], at(105)), Level::Short, "and it begins anew");
        assert_eq!(watch.handle_rooms(&[room(60, 64)], at(106)), Level::Short);
        assert_eq!(watch.handle_rooms(&[room(60, 64)], at(115)), Level::Short);
        assert_eq!(watch.handle_rooms(&[room(60, 64)], at(116)), Level::Enough);
        assert_eq!(watch.handle_rooms(&[room(0, 64)], at(117)), Level::Exhausted);
        assert_eq!(watch.handle_rooms(&[room(4, 64)], at(118)), Level::Exhausted);
        assert_eq!(watch.handle_rooms(&[room(4, 64)], at(128)), Level::Short);
        assert_eq!(watch.handle_rooms(&[], at(200)), Level::Short);
        assert_eq!(watch.handle_rooms(&[], at(210)), Level::Enough, "what is not known is not feared");
    }

    #[test]
    fn a_crowd_that_has_gone_is_noticed_once_and_a_few_are_none() {
        let mut ebb = Ebb::default();
        let noticed = |ebb: &mut Ebb, open: &[usize]| open.iter().position(|open| ebb.handle_open(*open));
        assert_eq!(noticed(&mut ebb, &[0, 0, 900, 1000, 700, 500, 500, 499, 400, 400]), None, "still going");
        assert_eq!(noticed(&mut ebb, &[300, 300, 300, 300, 300, 300, 300, 300]), Some(3));
        assert_eq!(noticed(&mut ebb, &[300, 300, 300, 300, 300]), None, "once");
        assert_eq!(noticed(&mut ebb, &[151, 151, 151, 151, 151]), None, "not half");
        assert_eq!(noticed(&mut ebb, &[150, 160, 149, 149, 149, 149]), Some(5), "some come meanwhile");
        assert_eq!(noticed(&mut ebb, &[0, 0, 0, 0]), Some(3));
        assert_eq!(noticed(&mut ebb, &[63, 0, 0, 0, 0]), None, "a few leave little");
        assert_eq!(noticed(&mut ebb, &[64, 0, 0, 0, 0]), Some(4));
    }
}
